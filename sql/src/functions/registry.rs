//! Joins PostgreSQL's facts with implementations: which functions, operators and casts exist here.

use super::{Aggregate, AggregateKind, Body, Function, Kernel, Scalar, SetFunction, Volatility};
use crate::extension;
use crate::types::{Oid, Type};
use hashbrown::HashMap;
use std::sync::OnceLock;

/// The OID of the first cast: they follow PostgreSQL's objects with OIDs of their own.
const FIRST_CAST: Oid = 10_000;

/// A row of facts/operator.tsv.
#[derive(Clone, Copy, Debug)]
pub struct OperatorFact {
    pub oid: Oid,
    pub name: &'static str,
    /// None: a prefix operator.
    pub left: Option<Type>,
    pub right: Type,
    pub result: Type,
    pub function: Oid,
    pub commutator: Oid,
    pub negator: Oid,
    pub can_hash: bool,
    pub can_merge: bool,
}

/// A row of facts/cast.tsv.
#[derive(Clone, Copy, Debug)]
pub struct CastFact {
    pub oid: Oid,
    pub source: Type,
    pub target: Type,
    /// 0: none.
    pub function: Oid,
    /// pg_cast.castcontext: i, a, e.
    pub context: char,
    /// pg_cast.castmethod: f, b, i.
    pub method: char,
}

#[derive(Clone, Copy)]
enum Implementation {
    Scalar(Scalar, Option<Kernel>),
    Typed(super::TypedScalar),
    Set(SetFunction),
    Aggregate(AggregateKind, fn(&[Type]) -> Box<dyn super::Accumulator>),
    Window(super::WindowFunction),
}

/// Takes implementations by the name that facts/proc.tsv has for them.
pub struct Registry {
    implementations: HashMap<&'static str, Implementation>,
}

impl Registry {
    fn add(&mut self, name: &'static str, implementation: Implementation) {
        let earlier = self.implementations.insert(name, implementation);
        debug_assert!(earlier.is_none(), "{name} is implemented twice");
    }
    pub fn scalar(&mut self, name: &'static str, scalar: Scalar) {
        self.add(name, Implementation::Scalar(scalar, None));
    }
    pub fn kernel(&mut self, name: &'static str, scalar: Scalar, kernel: Kernel) {
        self.add(name, Implementation::Scalar(scalar, Some(kernel)));
    }
    /// One that asks for its arguments' types.
    pub fn typed(&mut self, name: &'static str, typed: super::TypedScalar) {
        self.add(name, Implementation::Typed(typed));
    }
    pub fn set(&mut self, name: &'static str, function: SetFunction) {
        self.add(name, Implementation::Set(function));
    }
    pub fn window(&mut self, name: &'static str, function: super::WindowFunction) {
        self.add(name, Implementation::Window(function));
    }
    pub fn aggregate(&mut self, name: &'static str, new: fn(&[Type]) -> Box<dyn super::Accumulator>) {
        self.aggregate_of(name, AggregateKind::Normal, new);
    }
    pub fn aggregate_of(
        &mut self,
        name: &'static str,
        kind: AggregateKind,
        new: fn(&[Type]) -> Box<dyn super::Accumulator>,
    ) {
        self.add(name, Implementation::Aggregate(kind, new));
    }
}

/// A function that only the server calls in PostgreSQL (a type's input and output, what an access method or an aggregate is made of). The
/// catalogs point at them and drivers know types by them; nobody can call them here.
pub struct SupportFunction {
    pub oid: Oid,
    pub name: &'static str,
    pub arguments: &'static [Type],
    pub result: Type,
    pub strict: bool,
    pub volatility: Volatility,
}

struct Library {
    functions: Vec<Function>,
    support: Vec<SupportFunction>,
    by_oid: HashMap<Oid, usize>,
    by_name: HashMap<&'static str, Vec<usize>>,
    operators: Vec<OperatorFact>,
    casts: HashMap<(Type, Type), CastFact>,
    cast_list: Vec<CastFact>,
}

fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(build)
}

fn build() -> Library {
    let mut registry = Registry { implementations: HashMap::new() };
    for register in [
        super::comparison::register,
        super::math::register,
        super::numeric::register,
        super::text::register,
        super::pattern::register,
        super::datetime::register,
        super::array::register,
        super::series::register,
        super::json::register,
        super::network::register,
        super::geometry::register,
        super::money::register,
        super::lsn::register,
        super::textsearch::register,
        super::bits::register,
        super::formatting::register,
        super::enumeration::register,
        super::range::register,
        super::timetz::register,
        super::aggregate::register,
        super::ordered_set::register,
        super::catalog::register,
        super::privilege::register,
        super::system::register,
        super::large_object::register,
        super::window::register,
    ] {
        register(&mut registry);
    }
    for extension in &extension::ALL {
        (extension.register)(&mut registry);
    }
    let of_extensions = |kind| extension::ALL.iter().flat_map(move |extension| extension.rows(kind));
    let procs = || rows(include_str!("facts/proc.tsv")).chain(of_extensions("proc"));
    let functions: Vec<Function> = procs().filter_map(|row| function(&registry, &row)).collect();
    let by_oid: HashMap<Oid, usize> = functions.iter().enumerate().map(|(index, f)| (f.oid, index)).collect();
    let mut by_name: HashMap<&'static str, Vec<usize>> = HashMap::new();
    for (index, function) in functions.iter().enumerate() {
        by_name.entry(function.name).or_default().push(index);
    }
    let operators = rows(include_str!("facts/operator.tsv")).chain(of_extensions("operator"));
    let operators = operators.map(|row| operator(&row));
    let operators = operators.filter(|operator| by_oid.contains_key(&operator.function)).collect();
    // A cast has no OID that anyone refers to: its place in the list.
    let casts = rows(include_str!("facts/cast.tsv")).zip(FIRST_CAST..).map(|(row, oid)| cast(oid, &row));
    let casts = casts.chain(of_extensions("cast").map(|row| cast(self::oid(row[0]), &row[1..])));
    let cast_list: Vec<CastFact> =
        casts.filter(|cast| cast.function == 0 || by_oid.contains_key(&cast.function)).collect();
    let casts = cast_list.iter().map(|cast| ((cast.source, cast.target), *cast)).collect();
    let support = procs().filter_map(|row| support_of(&row)).filter(|f| !by_oid.contains_key(&f.oid));
    let mut support: Vec<SupportFunction> = support.collect();
    support.sort_by_key(|function| function.oid);
    Library { functions, support, by_oid, by_name, operators, casts, cast_list }
}

fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect())
}

fn oid(field: &str) -> Oid {
    field.parse().expect("the facts hold OIDs")
}

/// The facts live as long as the process, so what is built from them may be leaked.
fn types(field: &'static str) -> &'static [Type] {
    if field == "-" {
        return &[];
    }
    Vec::leak(field.split(',').map(|field| Type(oid(field))).collect())
}

fn function(registry: &Registry, row: &[&'static str]) -> Option<Function> {
    let implementation = registry.implementations.get(row[2])?;
    // An implementation may serve types that don't exist here.
    if !types(row[3]).iter().chain([&Type(oid(row[4]))]).all(|known| known.is_known()) {
        return None;
    }
    let (flags, volatility) = (row[5], volatility(row[5]));
    let body = match *implementation {
        Implementation::Scalar(scalar, kernel) => Body::Scalar { scalar, kernel },
        Implementation::Typed(typed) => Body::Typed(typed),
        Implementation::Window(function) => Body::Window(function),
        Implementation::Aggregate(kind, new) => Body::Aggregate(Aggregate { kind, new }),
        Implementation::Set(function) => {
            let columns = match row[6] {
                "-" => vec![(row[1], Type(oid(row[4])))],
                columns => columns
                    .split(',')
                    .filter_map(|column| column.split_once(':'))
                    .map(|(name, data_type)| (name, Type(oid(data_type))))
                    .collect(),
            };
            Body::Set { function, columns: Vec::leak(columns) }
        }
    };
    Some(Function {
        oid: oid(row[0]),
        name: row[1],
        arguments: types(row[3]),
        variadic: flags.contains('v') && flags.as_bytes()[2] == b'v',
        result: Type(oid(row[4])),
        strict: flags.starts_with('s'),
        volatility,
        body,
    })
}

fn volatility(flags: &str) -> Volatility {
    match flags.as_bytes()[1] {
        b'i' => Volatility::Immutable,
        b's' => Volatility::Stable,
        _ => Volatility::Volatile,
    }
}

/// What takes or gives cstring, internal or a handler, which no statement can name.
fn support_of(row: &[&'static str]) -> Option<SupportFunction> {
    const UNNAMEABLE: [Type; 5] = [Type(2275), Type(2281), Type(2280), Type(325), Type(269)];
    let (arguments, result) = (types(row[3]), Type(oid(row[4])));
    let mut all = arguments.iter().chain([&result]);
    let is_support = all.clone().any(|t| UNNAMEABLE.contains(t));
    if !is_support || !all.all(|t| UNNAMEABLE.contains(t) || t.is_known()) {
        return None;
    }
    let (strict, volatility) = (row[5].starts_with('s'), volatility(row[5]));
    Some(SupportFunction { oid: oid(row[0]), name: row[1], arguments, result, strict, volatility })
}

fn operator(row: &[&'static str]) -> OperatorFact {
    OperatorFact {
        oid: oid(row[0]),
        name: row[1],
        left: Some(Type(oid(row[2]))).filter(|left| left.0 != 0),
        right: Type(oid(row[3])),
        result: Type(oid(row[4])),
        function: oid(row[5]),
        commutator: oid(row[6]),
        negator: oid(row[7]),
        can_hash: row[8].contains('h'),
        can_merge: row[8].contains('m'),
    }
}

fn cast(oid: Oid, row: &[&'static str]) -> CastFact {
    let letter = |field: &str| field.chars().next().expect("the facts hold a letter");
    CastFact {
        oid,
        source: Type(self::oid(row[0])),
        target: Type(self::oid(row[1])),
        function: self::oid(row[2]),
        context: letter(row[3]),
        method: letter(row[4]),
    }
}

/// All functions, for pg_proc.
pub fn all() -> &'static [Function] {
    &library().functions
}

pub fn function_by_oid(oid: Oid) -> Option<&'static Function> {
    library().by_oid.get(&oid).map(|index| &library().functions[*index])
}

pub fn support_functions() -> &'static [SupportFunction] {
    &library().support
}

pub fn support_function(oid: Oid) -> Option<&'static SupportFunction> {
    let support = support_functions();
    support.binary_search_by_key(&oid, |function| function.oid).ok().map(|at| &support[at])
}

pub fn functions_named(name: &str) -> impl Iterator<Item = &'static Function> {
    library().by_name.get(name).into_iter().flatten().map(|index| &library().functions[*index])
}

/// All operators whose functions exist, for pg_operator.
pub fn operator_facts() -> &'static [OperatorFact] {
    &library().operators
}

/// All casts, for pg_cast.
/// The symbol of the operator that a function stands behind.
pub fn operator_symbol(function: &Function) -> Option<&'static str> {
    static SYMBOLS: OnceLock<HashMap<Oid, &'static str>> = OnceLock::new();
    let symbols = SYMBOLS.get_or_init(|| {
        // `?#` of boxes is their `&&` as well, `<^` and `>^` of points are `<<|` and `|>>`, `@@@` is `@@`: by what operator classes know.
        let (other, known): (Vec<&OperatorFact>, Vec<&OperatorFact>) =
            operator_facts().iter().partition(|operator| matches!(operator.name, "?#" | "<^" | ">^" | "@@@"));
        other.into_iter().chain(known).map(|operator| (operator.function, operator.name)).collect()
    });
    symbols.get(&function.oid).copied()
}

pub fn cast_facts() -> &'static [CastFact] {
    &library().cast_list
}

pub(super) fn cast_fact(source: Type, target: Type) -> Option<&'static CastFact> {
    library().casts.get(&(source, target))
}

/// Implementations that no fact names: misspelt, most likely.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_implementation_is_in_the_facts() {
        let mut registry = Registry { implementations: HashMap::new() };
        super::super::comparison::register(&mut registry);
        super::super::math::register(&mut registry);
        super::super::numeric::register(&mut registry);
        super::super::text::register(&mut registry);
        super::super::pattern::register(&mut registry);
        super::super::datetime::register(&mut registry);
        super::super::array::register(&mut registry);
        super::super::series::register(&mut registry);
        super::super::aggregate::register(&mut registry);
        super::super::catalog::register(&mut registry);
        super::super::privilege::register(&mut registry);
        super::super::system::register(&mut registry);
        super::super::window::register(&mut registry);
        let named: Vec<&str> = rows(include_str!("facts/proc.tsv")).map(|row| row[2]).collect();
        let mut strange: Vec<&str> =
            registry.implementations.keys().copied().filter(|name| !named.contains(name)).collect();
        strange.sort_unstable();
        assert!(strange.is_empty(), "not in facts/proc.tsv: {strange:?}");
    }
}
