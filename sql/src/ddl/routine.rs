//! CREATE, ALTER and DROP of functions and procedures.

use super::drop::must_cascade;
use super::expression::Named;
use super::privilege::Target;
use super::{Ddl, names};
use crate::catalog::routine::{Argument, Language, Mode, ResultShape, Routine};
use crate::catalog::store::NameSpace;
use crate::catalog::{Change, Kind, Object, ObjectClass, Relation, Table};
use crate::error::{Error, Result, SqlState};
use crate::functions::Volatility;
use crate::parse::ast::ObjectName;
use crate::parse::routine_ast::{
    AlterRoutine, ArgumentMode, CreateRoutine, RoutineArgument, RoutineClass, RoutineOptions,
    RoutineSignature, RoutineType,
};
use crate::session::nested::Nested;
use crate::types::{Oid, Type};
use serin_txn::RelationLockMode;
use std::sync::Arc;

fn definition_error(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_FUNCTION_DEFINITION, message)
}

/// What makes a routine's name unique in its schema.
fn unique_name(name: &str, types: &[Type]) -> String {
    let types: Vec<String> = types.iter().map(|data_type| data_type.0.to_string()).collect();
    format!("{name}({})", types.join(","))
}

impl Ddl<'_> {
    /// A parameter's or result's type, and the relation if it is a row type.
    fn routine_type(&self, written: &RoutineType) -> Result<(Type, Option<Arc<Table>>)> {
        let parts = &written.name.name.parts;
        let table = |parts: &[String]| {
            let name = ObjectName { parts: parts.to_vec(), position: written.name.name.position };
            match names::find_relation(&self.catalog(), &self.search_path(), &name) {
                Ok(Some(Relation::Table(table))) => Some(table),
                _ => None,
            }
        };
        if written.of_column {
            let Some((column, of)) = parts.split_last() else {
                return Err(Error::internal("a type without a name"));
            };
            let of = table(of).ok_or_else(|| {
                let name = parts[..parts.len() - 1].join(".");
                Error::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"))
            })?;
            let at = of.column_index(column).ok_or_else(|| names::no_column(&of, column))?;
            let data_type = of.columns[at].data_type();
            self.notice(format!(
                "type reference {} converted to {}",
                parts.join(".") + "%TYPE",
                data_type.display()
            ));
            return Ok((data_type, None));
        }
        match crate::bind::type_by_name(&written.name) {
            Ok((data_type, _)) => Ok((data_type, None)),
            Err(error) => match table(parts) {
                Some(of) if written.name.array_dimensions == 0 => Ok((Type::RECORD, Some(of))),
                _ => Err(error),
            },
        }
    }

    pub(super) fn routine_arguments(&self, written: &[RoutineArgument]) -> Result<Vec<Argument>> {
        let mut arguments = Vec::with_capacity(written.len());
        for argument in written {
            let (data_type, row) = self.routine_type(&argument.data_type)?;
            if row.is_some() {
                return Err(Error::unsupported("a parameter of a composite type"));
            }
            arguments.push(Argument {
                mode: argument.mode.into(),
                name: argument.name.clone(),
                data_type: data_type.0,
                default: argument.default.as_ref().map(|(_, text)| text.clone()),
            });
        }
        Ok(arguments)
    }

    fn check_arguments(&self, arguments: &[Argument], written: &[RoutineArgument]) -> Result<()> {
        let mut defaults = false;
        for (at, argument) in arguments.iter().enumerate() {
            let shares = |other: &&Argument| {
                other.name.is_some()
                    && other.name == argument.name
                    && (other.is_input() == argument.is_input() || other.is_output() == argument.is_output())
            };
            if let Some(name) = &argument.name
                && arguments[..at].iter().any(|other| shares(&other))
            {
                return Err(definition_error(format!("parameter name \"{name}\" used more than once")));
            }
            if argument.mode == Mode::Variadic {
                if arguments[at + 1..].iter().any(Argument::is_input) {
                    return Err(definition_error("VARIADIC parameter must be the last input parameter"));
                }
                let array = argument.data_type();
                if array.element().is_none() && !matches!(array, Type::ANYARRAY | Type::ANYCOMPATIBLEARRAY) {
                    return Err(definition_error("VARIADIC parameter must be an array"));
                }
            }
            match (&argument.default, argument.is_input()) {
                (Some(_), false) => {
                    return Err(definition_error("only input parameters can have default values"));
                }
                (Some(_), true) => defaults = true,
                (None, true) if defaults => {
                    return Err(definition_error(
                        "input parameters after one with a default value must also have defaults",
                    ));
                }
                _ => {}
            }
            if matches!(argument.data_type(), Type::TRIGGER) {
                return Err(definition_error("trigger functions cannot have declared arguments"));
            }
            if let Some((expr, _)) = &written[at].default
                && !argument.data_type().is_polymorphic()
            {
                self.with_plan_context(|context| {
                    crate::bind::standalone_expression(expr, (argument.data_type(), -1), context)
                })?;
            }
        }
        Ok(())
    }

    pub(super) fn create_routine(&self, create: &CreateRoutine) -> Result<()> {
        let options = &create.options;
        let language = match options.language.as_deref() {
            Some("sql") => Language::Sql,
            Some("plpgsql") => Language::PlPgSql,
            Some(other @ ("c" | "internal")) => {
                return Err(Error::unsupported(format!("LANGUAGE {other}")));
            }
            Some(other) => {
                let message = format!("language \"{other}\" does not exist");
                return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
            }
            None if options.sql_body.is_some() => Language::Sql,
            None => return Err(definition_error("no language specified")),
        };
        if options.window {
            return Err(Error::unsupported("CREATE FUNCTION … WINDOW"));
        }
        let (body, sql_body) = match (&options.body, &options.sql_body) {
            (Some(body), None) => (body.clone(), false),
            (None, Some(body)) if language == Language::Sql => (body.clone(), true),
            (None, None) => return Err(definition_error("no function body specified")),
            (Some(_), Some(_)) => return Err(definition_error("duplicate function body specified")),
            (None, Some(_)) => {
                return Err(definition_error("inline SQL function body only valid for language SQL"));
            }
        };
        let arguments = self.routine_arguments(&create.arguments)?;
        self.check_arguments(&arguments, &create.arguments)?;
        arguments.iter().try_for_each(|argument| self.check_type(argument.data_type()))?;
        let (result, row_of, returns_set) = self.declared_result(create, &arguments)?;
        self.check_type(result)?;
        if result == Type::TRIGGER && arguments.iter().any(Argument::is_input) {
            return Err(definition_error("trigger functions cannot have declared arguments")
                .hint("The arguments of the trigger can be accessed through TG_NARGS and TG_ARGV instead."));
        }
        for data_type in arguments.iter().filter(|a| a.is_output()).map(Argument::data_type).chain([result]) {
            let (ranges, what): (&[Type], _) = match data_type {
                Type::ANYRANGE | Type::ANYMULTIRANGE => {
                    (&[Type::ANYRANGE, Type::ANYMULTIRANGE], "anyrange or anymultirange")
                }
                Type::ANYCOMPATIBLERANGE | Type::ANYCOMPATIBLEMULTIRANGE => (
                    &[Type::ANYCOMPATIBLERANGE, Type::ANYCOMPATIBLEMULTIRANGE],
                    "anycompatiblerange or anycompatiblemultirange",
                ),
                _ => continue,
            };
            if !arguments.iter().any(|a| a.is_input() && ranges.contains(&a.data_type())) {
                let name = data_type.display();
                let detail = format!("A result of type {name} requires at least one input of type {what}.");
                return Err(definition_error("cannot determine result data type").detail(detail));
            }
        }
        let polymorphic = |argument: &&Argument| argument.data_type().is_polymorphic();
        if (result.is_polymorphic() || arguments.iter().filter(|a| a.is_output()).any(|a| polymorphic(&a)))
            && !arguments.iter().filter(|a| a.is_input()).any(|a| polymorphic(&a))
        {
            let name = result.display();
            return Err(definition_error("cannot determine result data type").detail(format!(
                "A result of type {name} requires at least one input of type anyelement, anyarray, anynonarray, anyenum, anyrange, or anymultirange."
            )));
        }
        let catalog = self.catalog();
        let (schema, name) = names::split(&catalog, &create.name)?;
        let schema = match schema {
            Some("pg_temp") => self.temporary_schema()?.oid,
            schema => names::creation_schema(&catalog, &self.search_path(), schema)?.oid,
        };
        super::owner::check_create(&catalog, schema, self.core.role.get())?;
        let mut routine = Routine {
            oid: 0,
            database: self.core.database_oid,
            schema,
            name: name.to_owned(),
            owner: self.core.role.get(),
            procedure: create.procedure,
            arguments,
            result: result.0,
            row_of: row_of.map(|table| table.oid),
            returns_set,
            language,
            body,
            sql_body,
            strict: options.strict.unwrap_or(false),
            volatility: options.volatility.unwrap_or(Volatility::Volatile),
            security_definer: options.security_definer.unwrap_or(false),
            leakproof: options.leakproof.unwrap_or(false),
            parallel: parallel(options)?,
            cost: options.cost,
            rows: options.rows,
            settings: Vec::new(),
            comment: None,
            acl: self.new_acl(ObjectClass::Function, schema)?,
        };
        self.apply_settings(&mut routine, options)?;
        let types = routine.input_types();
        let existing = catalog
            .objects()
            .routines_named(schema, name)
            .into_iter()
            .find(|other| other.input_types() == types);
        match existing {
            Some(old) if create.replace => {
                self.require_owner(old.owner, old.word(), &old.name)?;
                self.check_replacement(&old, &routine)?;
                self.lock(old.oid, RelationLockMode::AccessExclusive)?;
                routine.oid = old.oid;
                routine.owner = old.owner;
                routine.acl.clone_from(&old.acl);
                routine.comment.clone_from(&old.comment);
            }
            Some(_) => return Err(self.routine_exists(&routine)),
            None => {
                routine.oid = self.new_oid()?;
                self.lock(routine.oid, RelationLockMode::AccessExclusive)?;
                let trees = &self.core.engine.trees;
                let unique = unique_name(name, &types);
                let space = (NameSpace::Routine, schema);
                if !trees.take_name(&mut self.transaction.borrow_mut(), space, &unique, routine.oid)? {
                    return Err(self.routine_exists(&routine));
                }
            }
        }
        let routine = Arc::new(routine);
        self.write(Change::put(Object::Routine(routine.clone())))?;
        // It may call itself.
        let checks = self.core.setting("check_function_bodies", None).is_ok_and(|value| value != "off");
        if checks { self.check_body(&routine) } else { Ok(()) }
    }

    fn routine_exists(&self, routine: &Routine) -> Error {
        let message =
            // Of procedures too.
            format!("function \"{}\" already exists with same argument types", routine.name);
        Error::new(SqlState::DUPLICATE_FUNCTION, message)
    }

    fn declared_result(
        &self,
        create: &CreateRoutine,
        arguments: &[Argument],
    ) -> Result<(Type, Option<Arc<Table>>, bool)> {
        let outputs: Vec<&Argument> = arguments.iter().filter(|argument| argument.is_output()).collect();
        if create.procedure {
            return Ok((if outputs.is_empty() { Type::VOID } else { Type::RECORD }, None, false));
        }
        if arguments.iter().any(|argument| argument.mode == Mode::Table) {
            let result = match outputs[..] {
                [one] => one.data_type(),
                _ => Type::RECORD,
            };
            return Ok((result, None, true));
        }
        let implied = match outputs[..] {
            [] => None,
            [one] => Some(one.data_type()),
            _ => Some(Type::RECORD),
        };
        match (&create.returns, implied) {
            (None, Some(implied)) => Ok((implied, None, false)),
            (None, None) => Err(definition_error("function result type must be specified")),
            (Some(written), implied) => {
                let (mut declared, mut row) = self.routine_type(written)?;
                if let Some(table) = self.catalog().table_of_row_type(declared.0) {
                    (declared, row) = (Type::RECORD, Some(table.clone()));
                }
                if let Some(implied) = implied
                    && implied != declared
                {
                    return Err(definition_error(format!(
                        "function result type must be {} because of OUT parameters",
                        implied.display()
                    )));
                }
                Ok((declared, row, written.name.setof))
            }
        }
    }

    fn check_replacement(&self, old: &Routine, new: &Routine) -> Result<()> {
        if old.procedure != new.procedure {
            let message = "cannot change routine kind";
            let detail = format!("\"{}\" is a {}.", old.name, old.word());
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).detail(detail));
        }
        self.require_owner(old.owner, old.word(), &old.name)?;
        let hint = format!("Use DROP {} {} first.", old.word().to_uppercase(), old.signature());
        if (old.result, old.returns_set, old.row_of) != (new.result, new.returns_set, new.row_of) {
            let message = format!("cannot change return type of existing {}", old.word());
            return Err(definition_error(message).hint(hint));
        }
        let outputs = |routine: &Routine| -> Vec<(Option<String>, Oid)> {
            routine.outputs().map(|output| (output.name.clone(), output.data_type)).collect()
        };
        if outputs(old) != outputs(new) {
            return Err(definition_error(format!("cannot change return type of existing {}", old.word()))
                .detail("Row type defined by OUT parameters is different.")
                .hint(hint));
        }
        for (old, new) in old.inputs().zip(new.inputs()) {
            if let Some(name) = &old.name
                && new.name.as_ref() != Some(name)
            {
                return Err(
                    definition_error(format!("cannot change name of input parameter \"{name}\"")).hint(hint)
                );
            }
            if old.default.is_some() && new.default.is_none() {
                return Err(
                    definition_error("cannot remove parameter defaults from existing function").hint(hint)
                );
            }
        }
        Ok(())
    }

    /// Names and types of the body, as far as they can be known before it runs.
    fn check_body(&self, routine: &Routine) -> Result<()> {
        let types = routine.input_types();
        let polymorphic = types.iter().any(|data_type| data_type.is_polymorphic());
        self.with_exec(|context| {
            let nested = Nested::new(context, false)?;
            match routine.language {
                Language::PlPgSql => {
                    let path = self.search_path();
                    let catalog = self.catalog();
                    crate::plpgsql::compile(routine, &types, &catalog, &path).map(drop)
                }
                Language::Sql => {
                    let body = crate::exec::sql_function::Body::compile(routine, &types)?;
                    if polymorphic {
                        return Ok(());
                    }
                    let shape = routine.shape(&self.catalog());
                    let wanted = match (&shape, routine.procedure) {
                        (ResultShape::Row(_), true) | (ResultShape::Value(_), true) => None,
                        _ => crate::exec::routine::result_types(&shape),
                    };
                    let checked = match &shape {
                        ResultShape::Unknown => body.check(None, &nested),
                        _ => body.check(wanted.as_deref(), &nested),
                    };
                    checked.map_err(|error| match error.state() {
                        SqlState::INVALID_FUNCTION_DEFINITION => {
                            error.within(format!("SQL function \"{}\"", routine.name))
                        }
                        _ => error,
                    })
                }
            }
        })
    }

    /// SET and RESET clauses.
    fn apply_settings(&self, routine: &mut Routine, options: &RoutineOptions) -> Result<()> {
        for name in &options.resets {
            match name {
                None => routine.settings.clear(),
                Some(name) => routine.settings.retain(|(known, _)| !known.eq_ignore_ascii_case(name)),
            }
        }
        for (name, value) in &options.settings {
            let text = match value {
                Some(value) => crate::session::set_value_text(name, value),
                None => Some(self.core.setting(name, None)?),
            };
            routine.settings.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            if let Some(text) = text {
                crate::settings::Settings::new().set(
                    name,
                    Some(&text),
                    crate::settings::Source::Session,
                    false,
                )?;
                routine.settings.push((name.to_ascii_lowercase(), text));
            }
        }
        Ok(())
    }

    // ---- finding ----

    /// None: there is none (42883 unless IF EXISTS).
    pub(super) fn find_routine(
        &self,
        class: RoutineClass,
        signature: &RoutineSignature,
    ) -> Result<Arc<Routine>> {
        let word = match class {
            RoutineClass::Function => "function",
            RoutineClass::Procedure => "procedure",
            RoutineClass::Routine => "routine",
        };
        let catalog = self.catalog();
        let (schema, name) = names::split(&catalog, &signature.name)?;
        if let Some(schema) = schema
            && catalog.schema_in(schema, &self.search_path()).is_none()
        {
            return Err(names::no_schema(schema));
        }
        let candidates = catalog.routines_named(schema, name, &self.search_path());
        let shown = names::display(&signature.name);
        let found = match &signature.arguments {
            None => match &candidates[..] {
                [one] => one.clone(),
                [] => {
                    let message = format!("could not find a {word} named \"{shown}\"");
                    return Err(Error::new(SqlState::UNDEFINED_FUNCTION, message));
                }
                _ => {
                    let message = format!("{word} name \"{shown}\" is not unique");
                    return Err(Error::new(SqlState::AMBIGUOUS_FUNCTION, message)
                        .hint(format!("Specify the argument list to select the {word} unambiguously.")));
                }
            },
            Some(arguments) => {
                let inputs: Vec<RoutineArgument> = arguments
                    .iter()
                    .filter(|a| !matches!(a.mode, ArgumentMode::Out | ArgumentMode::Table))
                    .cloned()
                    .collect();
                let types: Vec<Type> =
                    self.routine_arguments(&inputs)?.iter().map(Argument::data_type).collect();
                let found = candidates.iter().find(|routine| routine.input_types() == types);
                found.cloned().ok_or_else(|| {
                    let shown_types: Vec<String> = types.iter().map(|t| t.display()).collect();
                    let message = format!("{word} {shown}({}) does not exist", shown_types.join(", "));
                    Error::new(SqlState::UNDEFINED_FUNCTION, message)
                })?
            }
        };
        let fits = match class {
            RoutineClass::Function => !found.procedure,
            RoutineClass::Procedure => found.procedure,
            RoutineClass::Routine => true,
        };
        if !fits {
            let message = format!("{} is not a {word}", found.signature());
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        Ok(found)
    }

    pub(super) fn drop_routines(
        &self,
        class: RoutineClass,
        signatures: &[RoutineSignature],
        if_exists: bool,
        cascade: bool,
    ) -> Result<()> {
        for signature in signatures {
            let routine = match self.find_routine(class, signature) {
                Ok(routine) => routine,
                Err(error)
                    if if_exists
                        && matches!(
                            error.state(),
                            SqlState::UNDEFINED_FUNCTION
                                | SqlState::UNDEFINED_OBJECT
                                | SqlState::INVALID_SCHEMA_NAME
                        ) =>
                {
                    let shown = names::display(&signature.name);
                    let word = match class {
                        RoutineClass::Function => "function",
                        RoutineClass::Procedure => "procedure",
                        RoutineClass::Routine => "routine",
                    };
                    let arguments = match &signature.arguments {
                        Some(arguments) => {
                            let names: Vec<String> = arguments
                                .iter()
                                .map(|argument| match crate::bind::type_by_name(&argument.data_type.name) {
                                    Ok((data_type, _)) => data_type.display(),
                                    Err(_) => argument.data_type.name.name.parts.join("."),
                                })
                                .collect();
                            format!("({})", names.join(","))
                        }
                        None => "()".to_owned(),
                    };
                    self.notice(format!("{word} {shown}{arguments} does not exist, skipping"));
                    continue;
                }
                Err(error) => return Err(error),
            };
            self.require_owner(routine.owner, routine.word(), &routine.name)?;
            self.lock(routine.oid, RelationLockMode::AccessExclusive)?;
            self.drop_routine_triggers(&routine, cascade)?;
            self.remove_routine(&routine)?;
        }
        Ok(())
    }

    pub(super) fn drop_routine_triggers(&self, routine: &Routine, cascade: bool) -> Result<()> {
        let catalog = self.catalog();
        let users: Vec<Arc<Table>> = catalog
            .tables()
            .filter(|table| table.triggers.iter().any(|trigger| trigger.function == routine.oid))
            .cloned()
            .collect();
        if users.is_empty() {
            return Ok(());
        }
        let what = format!("{} {}", routine.word(), routine.signature());
        let of = |table: &Table| -> Vec<String> {
            let own = table.triggers.iter().filter(|trigger| trigger.function == routine.oid);
            own.map(|trigger| format!("trigger {} on table {}", trigger.name, table.name)).collect()
        };
        let described: Vec<String> = users.iter().flat_map(|table| of(table)).collect();
        if !cascade {
            let lines = described.iter().map(|trigger| format!("{trigger} depends on {what}"));
            return Err(must_cascade(&what, lines.collect::<Vec<_>>().join("\n")));
        }
        self.goes_too(described);
        for table in users {
            self.lock(table.oid, RelationLockMode::AccessExclusive)?;
            let mut changed = Table::clone(&table);
            changed.triggers.retain(|trigger| trigger.function != routine.oid);
            self.put_table(changed)?;
        }
        Ok(())
    }

    pub(super) fn remove_routine(&self, routine: &Routine) -> Result<()> {
        self.give_routine_name(routine)?;
        self.write(Change::remove(Kind::Routine, routine.oid))
    }

    fn give_routine_name(&self, routine: &Routine) -> Result<()> {
        let unique = unique_name(&routine.name, &routine.input_types());
        let space = (NameSpace::Routine, routine.schema);
        self.core.engine.trees.give_name(&mut self.transaction.borrow_mut(), space, &unique)
    }

    pub(super) fn alter_routine(
        &self,
        class: RoutineClass,
        signature: &RoutineSignature,
        action: &AlterRoutine,
    ) -> Result<()> {
        let found = self.find_routine(class, signature)?;
        self.require_owner(found.owner, found.word(), &found.name)?;
        self.lock(found.oid, RelationLockMode::AccessExclusive)?;
        let mut routine = Routine::clone(&found);
        match action {
            AlterRoutine::Rename(to) => routine.name.clone_from(to),
            AlterRoutine::Owner(role) => {
                let to = self.spec_role(role)?;
                if to != found.owner {
                    self.check_new_owner(&Target::Routine(found.clone()), to)?;
                    routine.acl = routine.acl.as_ref().map(|acl| acl.with_owner(found.owner, to));
                    routine.owner = to;
                }
            }
            AlterRoutine::Schema(schema) => {
                let catalog = self.catalog();
                routine.schema = names::creation_schema(&catalog, &[], Some(schema))?.oid;
                super::owner::check_create(&catalog, routine.schema, self.core.role.get())?;
            }
            AlterRoutine::Options(options) => {
                routine.strict = options.strict.unwrap_or(routine.strict);
                routine.volatility = options.volatility.unwrap_or(routine.volatility);
                routine.security_definer = options.security_definer.unwrap_or(routine.security_definer);
                routine.leakproof = options.leakproof.unwrap_or(routine.leakproof);
                routine.parallel = parallel(options)?.or(routine.parallel);
                routine.cost = options.cost.or(routine.cost);
                routine.rows = options.rows.or(routine.rows);
                self.apply_settings(&mut routine, options)?;
            }
        }
        if (routine.schema, &routine.name) != (found.schema, &found.name) {
            self.give_routine_name(&found)?;
            let unique = unique_name(&routine.name, &routine.input_types());
            let space = (NameSpace::Routine, routine.schema);
            let trees = &self.core.engine.trees;
            if !trees.take_name(&mut self.transaction.borrow_mut(), space, &unique, routine.oid)? {
                let catalog = self.catalog();
                let schema = catalog.schema(routine.schema).map_or("", |schema| schema.name.as_str());
                let message =
                    format!("function {} already exists in schema \"{schema}\"", routine.signature());
                return Err(Error::new(SqlState::DUPLICATE_FUNCTION, message));
            }
        }
        let (from, to) =
            (self.full_name(found.schema, &found.name), self.full_name(routine.schema, &routine.name));
        let is_overloaded = self.catalog().routines_named(Some(&from.0), &from.1, &[]).len() > 1;
        self.write(Change::put(Object::Routine(Arc::new(routine))))?;
        if from == to {
            return Ok(());
        }
        self.follow_names(&|name, named| {
            (named == Named::Function && *name == from).then(|| match is_overloaded {
                // Texts do not tell which of them they mean.
                true => Err(Error::unsupported(
                    "renaming or moving one of several functions of a name that is in use",
                )),
                false => Ok(to.clone()),
            })
        })
    }
}

fn parallel(options: &RoutineOptions) -> Result<Option<char>> {
    match options.parallel.as_deref() {
        None => Ok(None),
        Some("safe") => Ok(Some('s')),
        Some("restricted") => Ok(Some('r')),
        Some("unsafe") => Ok(Some('u')),
        Some(_) => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            "parameter \"parallel\" must be SAFE, RESTRICTED, or UNSAFE",
        )),
    }
}
