//! Which function or operator a call means: PostgreSQL's "Type Conversion" chapter
//! (<https://www.postgresql.org/docs/15/typeconv.html>; parse_func.c, parse_oper.c).
//!
//! 1. Candidates have the name and can take as many arguments (a VARIADIC one as many as it takes).
//! 2. One whose types are exactly the call's wins. An untyped literal is of any type here but exact with none; for an
//!    operator with one untyped side, that side is first supposed to have the other's type.
//! 3. Candidates that would need more than implicit casts drop out.
//! 4. Those with the most exact matches stay; then those with the most exact-or-preferred ones.
//! 5. Untyped arguments take a type category: string if any candidate allows, else what all agree on; and its preferred type.
//! 6. If still several are left and all typed arguments have one type, the untyped ones are supposed to have it too.
//!
//! Polymorphic arguments (anyelement …) are consistent if they can all mean one element type; their result follows.

use super::registry::{function_by_oid, functions_named, operator_facts};
use super::{CastContext, Function, Resolved, find_cast};
use crate::catalog::Routine;
use crate::error::{Error, Result, SqlState};
use crate::types::Type;
use crate::types::user::is_found;
use hashbrown::HashMap;
use std::sync::{Arc, OnceLock};

/// FUNC_MAX_ARGS.
const ARGUMENTS_MAX: usize = 100;

struct Candidate {
    callee: Callee,
    /// Declared types, one per argument of the call.
    arguments: Vec<Type>,
    expanded: bool,
    /// Of a routine: where each of its inputs comes from.
    sources: Vec<Source>,
}

impl Candidate {
    fn new(function: &'static Function, arguments: Vec<Type>, expanded: bool) -> Candidate {
        Candidate { callee: Callee::BuiltIn(function), arguments, expanded, sources: Vec::new() }
    }
}

/// What a call means.
#[derive(Clone)]
pub enum Callee {
    BuiltIn(&'static Function),
    Routine(Arc<Routine>),
}

impl Callee {
    fn result(&self) -> Type {
        match self {
            Callee::BuiltIn(function) => function.result,
            Callee::Routine(routine) => routine.result(),
        }
    }
}

/// Where the value of a routine's input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The call's argument.
    Given(usize),
    /// The call's arguments from this one on, as an array.
    Packed(usize),
    Default,
}

/// A call resolved among built-in functions and routines.
pub struct ResolvedCall {
    pub callee: Callee,
    /// What the call's arguments are cast to.
    pub arguments: Vec<Type>,
    pub result: Type,
    pub sources: Vec<Source>,
    polymorphic: Polymorphic,
}

impl ResolvedCall {
    /// What a declared type means in this call.
    pub fn meaning(&self, declared: Type) -> Type {
        self.polymorphic.meaning(declared).unwrap_or(declared)
    }
}

/// How many arguments may be left out (pg_proc.pronargdefaults).
fn optional_arguments(function: &Function) -> usize {
    match function.name {
        "make_interval" => 7,
        "jsonb_set" | "jsonb_insert" => 1,
        "json_populate_record" | "json_populate_recordset" => 1,
        "jsonb_set_lax"
        | "jsonb_path_exists"
        | "jsonb_path_query"
        | "jsonb_path_query_array"
        | "jsonb_path_query_first"
        | "jsonb_path_match"
        | "jsonb_path_exists_tz"
        | "jsonb_path_query_tz"
        | "jsonb_path_query_array_tz"
        | "jsonb_path_query_first_tz"
        | "jsonb_path_match_tz" => 2,
        "pg_terminate_backend" => 1,
        _ => 0,
    }
}

fn candidate(function: &'static Function, count: usize, variadic_array: bool) -> Option<Candidate> {
    let declared = function.arguments;
    let plain = |arguments: &[Type]| Some(Candidate::new(function, arguments.to_vec(), false));
    if declared.len() == count && (!function.variadic || variadic_array) {
        return plain(declared);
    }
    if count < declared.len() && declared.len() - count <= optional_arguments(function) {
        return plain(&declared[..count]);
    }
    let (last, fixed) = declared.split_last()?;
    if !function.variadic || variadic_array || count < declared.len() {
        return None;
    }
    // VARIADIC "any" repeats as it is, an array type by its elements.
    let element = match *last {
        Type::ANY => Type::ANY,
        Type::ANYARRAY => Type::ANYELEMENT,
        array => array.element()?,
    };
    let repeated = std::iter::repeat_n(element, count - fixed.len());
    Some(Candidate::new(function, fixed.iter().copied().chain(repeated).collect(), true))
}

/// As [`candidate`], for a routine: named arguments find their place, defaults fill the rest.
fn routine_candidate(
    routine: &Arc<Routine>,
    names: &[Option<&str>],
    variadic_array: bool,
) -> Option<Candidate> {
    let inputs: Vec<&crate::catalog::routine::Argument> = routine.inputs().collect();
    let positional = names.iter().take_while(|name| name.is_none()).count();
    let named = positional < names.len();
    if routine.is_variadic() && !variadic_array && !named && names.len() >= inputs.len() {
        let last = inputs.len() - 1;
        let element = match inputs[last].data_type() {
            Type::ANYARRAY => Type::ANYELEMENT,
            Type::ANYCOMPATIBLEARRAY => Type::ANYCOMPATIBLE,
            array => array.element()?,
        };
        let fixed = inputs[..last].iter().map(|input| input.data_type());
        let arguments = fixed.chain(std::iter::repeat_n(element, names.len() - last)).collect();
        let sources = (0..last).map(Source::Given).chain([Source::Packed(last)]).collect();
        return Some(Candidate {
            callee: Callee::Routine(routine.clone()),
            arguments,
            expanded: true,
            sources,
        });
    }
    if names.len() > inputs.len() || (variadic_array && !routine.is_variadic()) {
        return None;
    }
    let mut sources = vec![Source::Default; inputs.len()];
    let mut arguments = Vec::with_capacity(names.len());
    for (at, name) in names.iter().enumerate() {
        let place = match name {
            None => at,
            Some(name) => inputs.iter().position(|input| input.name.as_deref() == Some(name))?,
        };
        if sources[place] != Source::Default {
            return None;
        }
        sources[place] = Source::Given(at);
        arguments.push(inputs[place].data_type());
    }
    let complete =
        sources.iter().zip(&inputs).all(|(s, input)| *s != Source::Default || input.default.is_some());
    let callee = Callee::Routine(routine.clone());
    complete.then_some(Candidate { callee, arguments, expanded: false, sources })
}

fn can_coerce(from: Option<Type>, to: Type) -> bool {
    let Some(from) = from else { return true };
    if from == to || to == Type::ANY {
        return true;
    }
    match to {
        Type::ANYELEMENT | Type::ANYCOMPATIBLE => true,
        Type::ANYNONARRAY | Type::ANYCOMPATIBLENONARRAY => from.category() != 'A',
        Type::ANYENUM => from.is_enum(),
        Type::ANYARRAY | Type::ANYCOMPATIBLEARRAY => from.element().is_some() || from == Type::ANYARRAY,
        Type::ANYRANGE | Type::ANYCOMPATIBLERANGE => from.base().is_range(),
        Type::ANYMULTIRANGE | Type::ANYCOMPATIBLEMULTIRANGE => from.base().is_multirange(),
        _ => find_cast(from, to, CastContext::Implicit).is_some(),
    }
}

/// Whether all arguments can be taken by implicit casts, and the polymorphic ones agree.
fn applicable(candidate: &Candidate, arguments: &[Option<Type>]) -> bool {
    let each = candidate.arguments.iter().zip(arguments).all(|(to, from)| can_coerce(*from, *to));
    each && polymorphic_types(&candidate.arguments, arguments).is_ok()
}

/// Picks one of several candidates. None: ambiguous.
fn select(mut candidates: Vec<Candidate>, arguments: &[Option<Type>]) -> Option<Candidate> {
    let keep_best = |candidates: Vec<Candidate>, score: &dyn Fn(&Candidate) -> usize| {
        let best = candidates.iter().map(score).max().unwrap_or(0);
        candidates.into_iter().filter(|candidate| score(candidate) == best).collect::<Vec<_>>()
    };
    let known = |candidate: &Candidate| {
        let pairs = candidate.arguments.iter().copied().zip(arguments);
        pairs.filter_map(|(to, from)| from.map(|from| (to, from))).collect::<Vec<_>>()
    };
    candidates = keep_best(candidates, &|c| known(c).iter().filter(|(to, from)| to == from).count());
    if candidates.len() > 1 {
        let preferred = |to: Type, from: Type| to.is_preferred() && to.category() == from.category();
        candidates = keep_best(candidates, &|c| {
            known(c).iter().filter(|(to, from)| to == from || preferred(*to, *from)).count()
        });
    }
    if candidates.len() > 1 && arguments.contains(&None) {
        candidates = select_category(candidates, arguments);
    }
    if candidates.len() > 1 && arguments.contains(&None) {
        let mut types = arguments.iter().flatten();
        if let Some(first) = types.next()
            && types.all(|other| other == first)
        {
            let supposed = vec![Some(*first); arguments.len()];
            let uniform = |c: &Candidate| applicable(c, &supposed);
            if candidates.iter().filter(|c| uniform(c)).count() == 1 {
                candidates.retain(uniform);
            }
        }
    }
    match candidates.len() {
        1 => candidates.pop(),
        _ => None,
    }
}

/// Rule 5. The candidates as they were, if untyped arguments can't be given a category.
fn select_category(candidates: Vec<Candidate>, arguments: &[Option<Type>]) -> Vec<Candidate> {
    let mut wanted: Vec<Option<(char, bool)>> = vec![None; arguments.len()];
    for (position, _) in arguments.iter().enumerate().filter(|(_, argument)| argument.is_none()) {
        let types: Vec<Type> = candidates.iter().map(|candidate| candidate.arguments[position]).collect();
        let first = types[0].category();
        let category = match types.iter().any(|t| t.category() == 'S') {
            true => 'S',
            false if types.iter().all(|t| t.category() == first) => first,
            false => return candidates,
        };
        let preferred = types.iter().any(|t| t.category() == category && t.is_preferred());
        wanted[position] = Some((category, preferred));
    }
    let fits = |candidate: &Candidate| {
        candidate.arguments.iter().zip(&wanted).all(|(to, wanted)| {
            wanted.is_none_or(|(category, preferred)| {
                to.category() == category && (!preferred || to.is_preferred())
            })
        })
    };
    match candidates.iter().any(fits) {
        true => candidates.into_iter().filter(fits).collect(),
        false => candidates,
    }
}

/// What the polymorphic types of a signature mean in a call.
#[derive(Clone, Copy, Default)]
struct Polymorphic {
    /// For anyelement and its kin; None: nothing determines it.
    element: Option<Type>,
    /// For anycompatible and its kin.
    compatible: Option<Type>,
    /// The range type that anyrange is, and that anymultirange is of.
    range: Option<Type>,
    compatible_range: Option<Type>,
}

impl Polymorphic {
    fn meaning(&self, declared: Type) -> Result<Type> {
        let undetermined = || {
            let message = "could not determine polymorphic type because input has type unknown";
            Error::new(SqlState::DATATYPE_MISMATCH, message)
        };
        // An untyped literal is text where nothing else determines a compatible type.
        let compatible = self.compatible.unwrap_or(Type::TEXT);
        let no_array = |element: Type| {
            let message = format!("could not find array type for data type {}", element.display());
            Error::new(SqlState::UNDEFINED_OBJECT, message)
        };
        match declared {
            Type::ANYELEMENT | Type::ANYNONARRAY | Type::ANYENUM => self.element.ok_or_else(undetermined),
            Type::ANYARRAY => {
                let element = self.element.ok_or_else(undetermined)?;
                element.array_of().ok_or_else(|| no_array(element))
            }
            Type::ANYCOMPATIBLE | Type::ANYCOMPATIBLENONARRAY => Ok(compatible),
            Type::ANYCOMPATIBLEARRAY => compatible.array_of().ok_or_else(|| no_array(compatible)),
            Type::ANYRANGE => self.range.ok_or_else(undetermined),
            Type::ANYMULTIRANGE => self.range.and_then(Type::multirange_of_range).ok_or_else(undetermined),
            Type::ANYCOMPATIBLERANGE => self.compatible_range.ok_or_else(undetermined),
            Type::ANYCOMPATIBLEMULTIRANGE => {
                self.compatible_range.and_then(Type::multirange_of_range).ok_or_else(undetermined)
            }
            other => Ok(other),
        }
    }
}

fn polymorphic_types(declared: &[Type], arguments: &[Option<Type>]) -> Result<Polymorphic> {
    if !declared.iter().any(|to| to.is_polymorphic()) {
        return Ok(Polymorphic::default());
    }
    let mut found = Polymorphic::default();
    let mut compatible = Vec::new();
    for (to, from) in declared.iter().zip(arguments) {
        let Some(from) = *from else { continue };
        let as_element = |from: Type| {
            from.element().ok_or_else(|| {
                let message =
                    format!("argument declared {} is not an array but type {}", to.display(), from.display());
                Error::new(SqlState::DATATYPE_MISMATCH, message)
            })
        };
        let element = match *to {
            Type::ANYELEMENT | Type::ANYNONARRAY | Type::ANYENUM => from,
            Type::ANYARRAY if from == Type::ANYARRAY => continue,
            Type::ANYARRAY => as_element(from)?,
            Type::ANYCOMPATIBLE | Type::ANYCOMPATIBLENONARRAY => {
                compatible.push(Some(from));
                continue;
            }
            Type::ANYCOMPATIBLEARRAY => {
                compatible.push(Some(as_element(from)?));
                continue;
            }
            Type::ANYRANGE
            | Type::ANYMULTIRANGE
            | Type::ANYCOMPATIBLERANGE
            | Type::ANYCOMPATIBLEMULTIRANGE => {
                let from = from.base();
                let multi = matches!(*to, Type::ANYMULTIRANGE | Type::ANYCOMPATIBLEMULTIRANGE);
                let range = if multi {
                    from.range_of_multirange()
                } else {
                    Some(from).filter(|from| from.is_range())
                };
                let (Some(range), Some(element)) = (range, from.range_element()) else {
                    let what = if multi { "multirange" } else { "range" };
                    let message = format!(
                        "argument declared {} is not a {what} type but type {}",
                        to.display(),
                        from.display()
                    );
                    return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
                };
                let known = match *to {
                    Type::ANYRANGE | Type::ANYMULTIRANGE => &mut found.range,
                    _ => &mut found.compatible_range,
                };
                if *known.get_or_insert(range) != range {
                    let message = format!("arguments declared \"{}\" are not all alike", to.display());
                    return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
                }
                match *to {
                    Type::ANYRANGE | Type::ANYMULTIRANGE => element,
                    _ => {
                        compatible.push(Some(element));
                        continue;
                    }
                }
            }
            _ => continue,
        };
        if *found.element.get_or_insert(element) != element {
            let message = "arguments declared \"anyelement\" are not all alike";
            return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
        }
    }
    if !compatible.is_empty() {
        let common = common_type(&compatible, "arguments")?;
        // There are no casts between range types: the range says what the type is.
        if let Some(range) = found.compatible_range
            && range.range_element() != Some(common)
        {
            let message = format!(
                "anycompatiblerange type {} does not match anycompatible type {}",
                range.display(),
                common.display()
            );
            return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
        }
        found.compatible = Some(common);
    }
    Ok(found)
}

/// concat, concat_ws, format, text || any, any || text. (The first three show a boolean as t or f, a cast as true or false.)
fn takes_text(function: &Function) -> bool {
    matches!(function.name, "concat" | "concat_ws" | "format" | "textanycat" | "anytextcat")
}

fn resolved(candidate: Candidate, arguments: &[Option<Type>]) -> Result<ResolvedCall> {
    let meanings = polymorphic_types(&candidate.arguments, arguments)?;
    let texts = match &candidate.callee {
        Callee::BuiltIn(function) => takes_text(function),
        Callee::Routine(_) => false,
    };
    let mut types = Vec::with_capacity(candidate.arguments.len());
    for (declared, given) in candidate.arguments.iter().zip(arguments) {
        types.push(match (*declared, given) {
            // These want the text of whatever it is, which only its type can tell.
            (Type::ANY | Type::ANYNONARRAY, given) if texts => match given {
                Some(Type::BOOL) if *declared == Type::ANY => Type::BOOL,
                _ => Type::TEXT,
            },
            // Taken as it is; an untyped literal becomes text.
            (Type::ANY, given) => given.unwrap_or(Type::TEXT),
            // int2vector and oidvector pass for arrays of their elements.
            (Type::ANYARRAY, Some(given)) if given.element().is_some() && !given.is_array() => *given,
            (Type::ANYARRAY, Some(Type::ANYARRAY)) => Type::ANYARRAY,
            (declared, _) => meanings.meaning(declared)?,
        });
    }
    let result = meanings.meaning(candidate.callee.result())?;
    Ok(ResolvedCall {
        callee: candidate.callee,
        arguments: types,
        result,
        sources: candidate.sources,
        polymorphic: meanings,
    })
}

/// A call of a user's range or multirange type as the constructor of its values.
pub fn range_constructor(constructed: Type, count: usize, variadic_array: bool) -> Option<ResolvedCall> {
    /// range_constructor2, range_constructor3 and multirange_constructor0, each of some built-in type: what they make is told to them.
    const RANGE_OF_TWO: u32 = 3840;
    const RANGE_OF_THREE: u32 = 3841;
    const MULTIRANGE: u32 = 4280;
    let element = constructed.range_element()?;
    let (function, arguments) = match constructed.range_of_multirange() {
        Some(range) if variadic_array => (MULTIRANGE, vec![range.array_of()?; count]),
        Some(range) => (MULTIRANGE, vec![range; count]),
        None if count == 2 => (RANGE_OF_TWO, vec![element; 2]),
        None if count == 3 => (RANGE_OF_THREE, vec![element, element, Type::TEXT]),
        None => return None,
    };
    Some(ResolvedCall {
        callee: Callee::BuiltIn(function_by_oid(function)?),
        arguments,
        result: constructed,
        sources: Vec::new(),
        polymorphic: Polymorphic::default(),
    })
}

/// Of a call that can only be a built-in function's.
fn built_in(call: ResolvedCall) -> Result<Resolved> {
    match call.callee {
        Callee::BuiltIn(function) => {
            Ok(Resolved { function, arguments: call.arguments, result: call.result })
        }
        Callee::Routine(_) => Err(Error::internal("a routine among built-in functions")),
    }
}

fn list(arguments: &[Option<Type>]) -> String {
    let names = arguments.iter().map(|argument| argument.map_or("unknown".to_string(), Type::display));
    names.collect::<Vec<_>>().join(", ")
}

const CAST_HINT: &str = "You might need to add explicit type casts.";

/// Resolves a call by name. `None` in `arguments` for an untyped literal or parameter. Errors as PostgreSQL words them (42883 with its
/// hint, 42725).
pub fn resolve_function(name: &str, arguments: &[Option<Type>], variadic_array: bool) -> Result<Resolved> {
    let names = vec![None; arguments.len()];
    resolve_call(name, Some(None), Vec::new(), arguments, &names, variadic_array).and_then(built_in)
}

/// As [`resolve_function`], among built-in functions (in a schema or, where none is named, along the path; none at all for a procedure)
/// and `routines` (those along the search path, in its order). `names` has those of named arguments.
pub fn resolve_call(
    name: &str,
    built_ins: Option<Option<&str>>,
    routines: Vec<Arc<Routine>>,
    arguments: &[Option<Type>],
    names: &[Option<&str>],
    variadic_array: bool,
) -> Result<ResolvedCall> {
    if arguments.len() > ARGUMENTS_MAX {
        let message = format!("cannot pass more than {ARGUMENTS_MAX} arguments to a function");
        return Err(Error::new(SqlState::TOO_MANY_ARGUMENTS, message));
    }
    let shown = || {
        let each = arguments.iter().zip(names).map(|(argument, name)| {
            let data_type = argument.map_or("unknown".to_string(), Type::display);
            name.map_or(data_type.clone(), |name| format!("{name} => {data_type}"))
        });
        each.collect::<Vec<_>>().join(", ")
    };
    let mut candidates: Vec<Candidate> = Vec::new();
    if let Some(schema) = built_ins
        && names.iter().all(Option::is_none)
    {
        let plain = name.rsplit_once('.').map_or(name, |(_, name)| name);
        let found = functions_named(plain).filter(|function| is_found(function.oid, schema));
        for new in found.filter_map(|f| candidate(f, arguments.len(), variadic_array)) {
            // An extension may have a function that pg_catalog has too, which hides it.
            if !candidates
                .iter()
                .any(|other| other.arguments == new.arguments && other.expanded == new.expanded)
            {
                candidates.push(new);
            }
        }
    }
    for routine in &routines {
        let Some(new) = routine_candidate(routine, names, variadic_array) else { continue };
        // The same signature earlier in the path hides this one; an expanded or completed one gives way.
        let defaults = |c: &Candidate| c.sources.iter().filter(|s| **s == Source::Default).count();
        match candidates.iter().position(|other| other.arguments == new.arguments) {
            Some(other)
                if (candidates[other].expanded && !new.expanded)
                    || (defaults(&candidates[other]) > defaults(&new)) =>
            {
                candidates[other] = new;
            }
            Some(_) => {}
            None => candidates.push(new),
        }
    }
    if let Some(exact) = exact(&mut candidates, arguments) {
        return resolved(exact, arguments);
    }
    candidates.retain(|candidate| applicable(candidate, arguments));
    // A candidate that takes the arguments without VARIADIC expansion hides one that needs it.
    if candidates.iter().any(|candidate| !candidate.expanded) {
        candidates.retain(|candidate| !candidate.expanded);
    }
    match candidates.len() {
        0 => {
            let message = format!("function {name}({}) does not exist", shown());
            Err(Error::new(SqlState::UNDEFINED_FUNCTION, message)
                .hint(format!("No function matches the given name and argument types. {CAST_HINT}")))
        }
        1 => resolved(candidates.remove(0), arguments),
        _ => match select(candidates, arguments) {
            Some(chosen) => resolved(chosen, arguments),
            None => Err(Error::new(
                SqlState::AMBIGUOUS_FUNCTION,
                format!("function {name}({}) is not unique", shown()),
            )
            .hint(format!("Could not choose a best candidate function. {CAST_HINT}"))),
        },
    }
}

fn exact(candidates: &mut Vec<Candidate>, arguments: &[Option<Type>]) -> Option<Candidate> {
    let matches = |candidate: &Candidate| {
        candidate.arguments.iter().zip(arguments).all(|(to, from)| *from == Some(*to)) && !candidate.expanded
    };
    let index = candidates.iter().position(matches)?;
    Some(candidates.swap_remove(index))
}

/// Operators by name, with their functions.
fn operators_named(name: &str) -> &'static [(Option<Type>, Type, &'static Function)] {
    type Operators = HashMap<&'static str, Vec<(Option<Type>, Type, &'static Function)>>;
    static OPERATORS: OnceLock<Operators> = OnceLock::new();
    let operators = OPERATORS.get_or_init(|| {
        let mut operators = Operators::new();
        for fact in operator_facts() {
            let function =
                function_by_oid(fact.function).expect("operators without a function were left out");
            operators.entry(fact.name).or_default().push((fact.left, fact.right, function));
        }
        operators
    });
    operators.get(name).map_or(&[], Vec::as_slice)
}

/// Resolves an infix (two arguments) or prefix (one) operator.
pub fn resolve_operator(operator: &str, arguments: &[Option<Type>]) -> Result<Resolved> {
    // The parser's other spelling.
    let operator = if operator == "!=" { "<>" } else { operator };
    let mut candidates: Vec<Candidate> = Vec::new();
    for (left, right, function) in operators_named(operator) {
        if !is_found(function.oid, None) {
            continue;
        }
        let declared: Vec<Type> = left.iter().copied().chain([*right]).collect();
        if declared.len() == arguments.len() {
            candidates.push(Candidate::new(function, declared, false));
        }
    }
    // With one side untyped, first suppose that it is like the other.
    let supposed: Vec<Option<Type>> = match arguments {
        [None, Some(other)] | [Some(other), None] => vec![Some(*other); 2],
        _ => arguments.to_vec(),
    };
    if let Some(exact) = exact(&mut candidates, &supposed) {
        return resolved(exact, &supposed).and_then(built_in);
    }
    candidates.retain(|candidate| applicable(candidate, arguments));
    let shown = match arguments {
        [operand] => format!("{operator} {}", list(&[*operand])),
        [left, right] => format!("{} {operator} {}", list(&[*left]), list(&[*right])),
        _ => operator.to_string(),
    };
    match candidates.len() {
        0 => Err(Error::new(SqlState::UNDEFINED_FUNCTION, format!("operator does not exist: {shown}")).hint(
            match arguments {
                [_] => "No operator matches the given name and argument type. \
                        You might need to add an explicit type cast."
                    .to_owned(),
                _ => format!("No operator matches the given name and argument types. {CAST_HINT}"),
            },
        )),
        1 => resolved(candidates.remove(0), arguments).and_then(built_in),
        _ => match select(candidates, arguments) {
            Some(chosen) => resolved(chosen, arguments).and_then(built_in),
            None => Err(Error::new(SqlState::AMBIGUOUS_FUNCTION, format!("operator is not unique: {shown}"))
                .hint(format!("Could not choose a best candidate operator. {CAST_HINT}"))),
        },
    }
}

/// The type to which UNION, CASE, VALUES, ARRAY, … bring their inputs (PostgreSQL's "UNION, CASE, and Related Constructs").
pub fn common_type(types: &[Option<Type>], construct: &str) -> Result<Type> {
    let mut known = types.iter().flatten().copied();
    let Some(mut chosen) = known.next() else { return Ok(Type::TEXT) };
    // The one way in which the common type is a domain: it is everybody's.
    if types.iter().all(|data_type| *data_type == Some(chosen)) {
        return Ok(chosen);
    }
    let bases: Vec<Option<Type>> = types.iter().map(|data_type| data_type.map(Type::base)).collect();
    if bases != types {
        return common_type(&bases, construct);
    }
    for other in known {
        if other == chosen {
            continue;
        }
        if other.category() != chosen.category() {
            let message =
                format!("{construct} types {} and {} cannot be matched", chosen.display(), other.display());
            return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
        }
        let forth = find_cast(chosen, other, CastContext::Implicit).is_some();
        let back = find_cast(other, chosen, CastContext::Implicit).is_some();
        if !chosen.is_preferred() && forth && !back {
            chosen = other;
        }
    }
    for other in types.iter().flatten() {
        if *other != chosen && find_cast(*other, chosen, CastContext::Implicit).is_none() {
            let message =
                format!("{construct} could not convert type {} to {}", other.display(), chosen.display());
            return Err(Error::new(SqlState::CANNOT_COERCE, message));
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(name: &str, arguments: &[Option<Type>]) -> String {
        match resolve_operator(name, arguments) {
            Ok(found) => format!(
                "{}({})",
                found.function.oid,
                list(&found.arguments.iter().map(|t| Some(*t)).collect::<Vec<_>>())
            ),
            Err(error) => error.message().to_string(),
        }
    }

    /// What PostgreSQL 15 chooses (by pg_proc.oid).
    #[test]
    fn operators_resolve_as_in_postgresql() {
        let t = Some;
        assert_eq!(operator("+", &[t(Type::INT4), t(Type::INT4)]), "177(integer, integer)");
        assert_eq!(operator("+", &[t(Type::INT4), t(Type::NUMERIC)]), "1724(numeric, numeric)");
        assert_eq!(operator("+", &[t(Type::INT4), None]), "177(integer, integer)");
        assert_eq!(operator("=", &[t(Type::VARCHAR), t(Type::TEXT)]), "67(text, text)");
        assert_eq!(operator("=", &[t(Type::VARCHAR), None]), "67(text, text)");
        assert_eq!(
            operator("=", &[t(Type::BPCHAR), None]),
            "1048(character, character)".replace("character", "bpchar")
        );
        assert_eq!(operator("+", &[t(Type::DATE), t(Type::INT4)]), "1141(date, integer)");
        assert_eq!(
            operator("-", &[t(Type::TIMESTAMPTZ), None]),
            "1188(timestamp with time zone, timestamp with time zone)"
        );
        assert_eq!(operator("||", &[t(Type::TEXT), t(Type::INT4)]), "2003(text, text)");
        assert_eq!(operator("||", &[None, None]), "1258(text, text)");
        assert_eq!(operator("+", &[None, None]), "operator is not unique: unknown + unknown");
        assert_eq!(operator("+", &[t(Type::INT4), t(Type::TEXT)]), "operator does not exist: integer + text");
        assert_eq!(operator("-", &[t(Type::INT8)]), "462(bigint)");
        assert_eq!(operator("=", &[t(Type(1007)), t(Type(1007))]), "744(integer[], integer[])");
    }

    #[test]
    fn functions_resolve_as_in_postgresql() {
        let call = |name: &str, arguments: &[Option<Type>]| match resolve_function(name, arguments, false) {
            Ok(found) => format!("{} {}", found.function.oid, found.result.display()),
            Err(error) => error.message().to_string(),
        };
        assert_eq!(call("abs", &[Some(Type::INT4)]), "1397 integer");
        assert_eq!(call("sqrt", &[Some(Type::INT4)]), "1344 double precision");
        assert_eq!(call("sum", &[Some(Type::INT4)]), "2108 bigint");
        assert_eq!(call("max", &[Some(Type::VARCHAR)]), "2129 text");
        assert_eq!(call("length", &[None]), "1317 integer");
        assert_eq!(call("array_agg", &[Some(Type::INT4)]), "2335 integer[]");
        assert_eq!(call("unnest", &[Some(Type(1009))]), "2331 text");
        assert_eq!(call("array_append", &[Some(Type(1007)), None]), "378 integer[]");
        assert_eq!(
            call("nosuch", &[Some(Type::INT4), None]),
            "function nosuch(integer, unknown) does not exist"
        );
        assert_eq!(call("concat", &[Some(Type::INT4), None, Some(Type::BOOL)]), "3058 text");
        assert_eq!(
            call("round", &[Some(Type::FLOAT8), Some(Type::INT4)]),
            "function round(double precision, integer) does not exist"
        );
    }

    #[test]
    fn common_types() {
        let common =
            |types: &[Option<Type>]| common_type(types, "UNION").map_err(|error| error.message().to_string());
        assert_eq!(common(&[Some(Type::INT4), Some(Type::NUMERIC)]), Ok(Type::NUMERIC));
        assert_eq!(common(&[None, Some(Type::INT4), None]), Ok(Type::INT4));
        assert_eq!(common(&[None]), Ok(Type::TEXT));
        assert_eq!(common(&[Some(Type::VARCHAR), Some(Type::TEXT)]), Ok(Type::VARCHAR));
        assert_eq!(
            common(&[Some(Type::INT4), Some(Type::TEXT)]),
            Err("UNION types integer and text cannot be matched".into())
        );
    }
}
