//! CREATE, ALTER and DROP of functions, procedures and triggers; CALL and DO.

use super::ast::*;
use super::cursor::Parser;
use super::keywords::Keyword as K;
use super::lexer::Kind;
use super::routine_ast::*;
use crate::error::{Error, Result};
use crate::functions::Volatility;

impl Parser<'_> {
    pub fn create_routine(&mut self, replace: bool) -> Result<StatementKind> {
        let procedure = self.is(K::Procedure);
        self.advance();
        let name = self.routine_name()?;
        let mut arguments = self.routine_arguments()?;
        let mut returns = None;
        if !procedure && self.eat(K::Returns) {
            if self.is(K::Table) && self.is_symbol_ahead(1, b'(') {
                self.advance();
                let columns = self.parenthesised(|parser| {
                    let name = Some(parser.type_function_name()?);
                    let data_type = parser.routine_type()?;
                    Ok(RoutineArgument { mode: ArgumentMode::Table, name, data_type, default: None })
                })?;
                arguments.extend(columns);
            } else {
                returns = Some(self.routine_type()?);
            }
        }
        let mut options = RoutineOptions::default();
        while !self.at_statement_end() {
            if !self.routine_option(&mut options)? {
                return Err(self.unexpected());
            }
        }
        Ok(StatementKind::CreateRoutine(Box::new(CreateRoutine {
            replace,
            procedure,
            name,
            arguments,
            returns,
            options,
        })))
    }

    fn routine_name(&mut self) -> Result<ObjectName> {
        self.any_object_name()
    }

    fn routine_arguments(&mut self) -> Result<Vec<RoutineArgument>> {
        self.expect_symbol(b'(')?;
        if self.eat_symbol(b')') {
            return Ok(Vec::new());
        }
        let arguments = self.comma_list(Parser::routine_argument)?;
        self.expect_symbol(b')')?;
        Ok(arguments)
    }

    fn argument_mode(&mut self) -> Option<ArgumentMode> {
        let mode = match self.keyword()? {
            K::In => {
                self.advance();
                return Some(if self.eat(K::Out) { ArgumentMode::InOut } else { ArgumentMode::In });
            }
            K::Out => ArgumentMode::Out,
            K::Inout => ArgumentMode::InOut,
            K::Variadic => ArgumentMode::Variadic,
            _ => return None,
        };
        self.advance();
        Some(mode)
    }

    fn routine_argument(&mut self) -> Result<RoutineArgument> {
        let mut mode = self.argument_mode();
        let mut name = None;
        // A name is followed by a type (or a mode); a type alone by what ends the argument, its parts or its modifiers.
        let ends =
            matches!(
                self.peek_ahead(1),
                Kind::Symbol(b',' | b')' | b'(' | b'[' | b'.' | b'=' | b'%') | Kind::End | Kind::ColonEquals
            ) || matches!(self.keyword_ahead(1), Some(K::Default | K::Array | K::Precision | K::Varying))
                || (self.is(K::Setof))
                || (matches!(self.keyword(), Some(K::Time | K::Timestamp))
                    && matches!(self.keyword_ahead(1), Some(K::With | K::Without)))
                || (matches!(self.keyword(), Some(K::Character | K::Char | K::Bit | K::National))
                    && matches!(self.keyword_ahead(1), Some(K::Varying | K::Character | K::Char)));
        if !ends {
            name = Some(self.type_function_name()?);
            if mode.is_none() {
                mode = self.argument_mode();
            }
        }
        let data_type = self.routine_type()?;
        let default = if self.eat(K::Default) || self.eat_symbol(b'=') {
            let from = self.at;
            let expr = self.expr()?;
            Some((expr, self.text_from(from)))
        } else {
            None
        };
        Ok(RoutineArgument { mode: mode.unwrap_or(ArgumentMode::In), name, data_type, default })
    }

    /// func_type.
    pub fn routine_type(&mut self) -> Result<RoutineType> {
        let mut name = self.type_name()?;
        let of_column = self.is_symbol(b'%') && self.keyword_ahead(1) == Some(K::Type);
        if of_column {
            self.advance();
            self.advance();
            name.array_dimensions = 0;
        }
        Ok(RoutineType { name, of_column })
    }

    /// One clause; false if there is none here.
    fn routine_option(&mut self, options: &mut RoutineOptions) -> Result<bool> {
        match self.keyword() {
            Some(K::Language) => {
                self.advance();
                options.language = Some(match self.eat_string() {
                    Some(name) => name.to_lowercase(),
                    None => self.non_reserved_word()?,
                });
            }
            Some(K::As) => {
                self.advance();
                options.body = Some(self.string()?);
                if self.eat_symbol(b',') {
                    options.symbol = Some(self.string()?);
                }
            }
            Some(K::Transform) => return Err(Error::unsupported("TRANSFORM").at(self.position())),
            Some(K::Window) => {
                self.advance();
                options.window = true;
            }
            Some(K::Return) => {
                let from = self.at;
                self.advance();
                self.expr()?;
                options.sql_body = Some(self.text_from(from));
            }
            Some(K::Begin) if self.keyword_ahead(1) == Some(K::Atomic) => {
                let from = self.at;
                self.advance();
                self.advance();
                while !self.eat(K::End) {
                    if self.is(K::Return) {
                        self.advance();
                        self.expr()?;
                    } else {
                        self.nested(Parser::statement)?;
                    }
                    self.expect_symbol(b';')?;
                }
                options.sql_body = Some(self.text_from(from));
            }
            _ => return self.common_routine_option(options),
        }
        Ok(true)
    }

    /// What CREATE and ALTER share.
    fn common_routine_option(&mut self, options: &mut RoutineOptions) -> Result<bool> {
        match (self.keyword(), self.keyword_ahead(1)) {
            (Some(K::Called), _) => {
                self.advance();
                self.expect(K::On)?;
                self.expect(K::Null)?;
                self.expect(K::Input)?;
                options.strict = Some(false);
                return Ok(true);
            }
            (Some(K::Returns), Some(K::Null)) => {
                self.advance();
                self.advance();
                self.expect(K::On)?;
                self.expect(K::Null)?;
                self.expect(K::Input)?;
                options.strict = Some(true);
                return Ok(true);
            }
            (Some(K::Strict), _) => options.strict = Some(true),
            (Some(K::Immutable), _) => options.volatility = Some(Volatility::Immutable),
            (Some(K::Stable), _) => options.volatility = Some(Volatility::Stable),
            (Some(K::Volatile), _) => options.volatility = Some(Volatility::Volatile),
            (Some(K::External), Some(K::Security)) => {
                self.advance();
                return self.common_routine_option(options);
            }
            (Some(K::Security), _) => {
                self.advance();
                let definer = self.is(K::Definer);
                if !definer && !self.is(K::Invoker) {
                    return Err(self.unexpected());
                }
                options.security_definer = Some(definer);
            }
            (Some(K::Leakproof), _) => options.leakproof = Some(true),
            (Some(K::Not), Some(K::Leakproof)) => {
                self.advance();
                options.leakproof = Some(false);
            }
            (Some(K::Cost), _) => {
                self.advance();
                options.cost = self.signed_number()?.parse().ok();
                return Ok(true);
            }
            (Some(K::Rows), _) => {
                self.advance();
                options.rows = self.signed_number()?.parse().ok();
                return Ok(true);
            }
            (Some(K::Parallel), _) => {
                self.advance();
                options.parallel = Some(self.column_id()?);
                return Ok(true);
            }
            (Some(K::Support), _) => return Err(Error::unsupported("SUPPORT").at(self.position())),
            (Some(K::Set), _) => {
                self.advance();
                if matches!(self.peek_ahead(1), Kind::Keyword(K::From)) {
                    let name = self.label()?;
                    self.advance();
                    self.expect(K::Current)?;
                    options.settings.push((name, None));
                } else {
                    let (name, value) = self.setting()?;
                    options.settings.push((name, Some(value)));
                }
                return Ok(true);
            }
            (Some(K::Reset), _) => {
                self.advance();
                options.resets.push(if self.eat(K::All) { None } else { Some(self.label()?) });
                return Ok(true);
            }
            _ => return Ok(false),
        }
        self.advance();
        Ok(true)
    }

    pub fn routine_class(&mut self) -> RoutineClass {
        let class = match self.keyword() {
            Some(K::Procedure) => RoutineClass::Procedure,
            Some(K::Routine) => RoutineClass::Routine,
            _ => RoutineClass::Function,
        };
        self.advance();
        class
    }

    pub fn routine_signature(&mut self) -> Result<RoutineSignature> {
        let name = self.routine_name()?;
        let arguments = if self.is_symbol(b'(') { Some(self.routine_arguments()?) } else { None };
        Ok(RoutineSignature { name, arguments })
    }

    pub fn drop_routine(&mut self) -> Result<StatementKind> {
        let class = self.routine_class();
        let if_exists = self.eat_if_exists()?;
        let names = self.comma_list(Parser::routine_signature)?;
        let cascade = self.cascade();
        Ok(StatementKind::DropRoutine { class, names, if_exists, cascade })
    }

    pub fn alter_routine(&mut self) -> Result<StatementKind> {
        let class = self.routine_class();
        let signature = self.routine_signature()?;
        let action = if self.eat_two(K::Rename, K::To) {
            AlterRoutine::Rename(self.column_id()?)
        } else if self.eat_two(K::Owner, K::To) {
            AlterRoutine::Owner(self.role_spec()?)
        } else if self.is(K::Set) && self.keyword_ahead(1) == Some(K::Schema) {
            self.advance();
            self.advance();
            AlterRoutine::Schema(self.column_id()?)
        } else if matches!(self.keyword(), Some(K::No | K::Depends)) {
            return self.unsupported("ALTER FUNCTION … DEPENDS ON EXTENSION");
        } else {
            let mut options = RoutineOptions::default();
            if !self.common_routine_option(&mut options)? {
                return Err(self.unexpected());
            }
            while self.common_routine_option(&mut options)? {}
            self.eat(K::Restrict);
            AlterRoutine::Options(options)
        };
        Ok(StatementKind::AlterRoutine { class, signature, action })
    }

    pub fn call_statement(&mut self) -> Result<StatementKind> {
        self.advance();
        match self.primary()? {
            Expr::Function(call) => Ok(StatementKind::Call(call)),
            _ => Err(self.unexpected()),
        }
    }

    pub fn do_statement(&mut self) -> Result<StatementKind> {
        self.advance();
        let (mut language, mut body) = (None, None);
        while !self.at_statement_end() {
            if self.eat(K::Language) {
                language = Some(match self.eat_string() {
                    Some(name) => name.to_lowercase(),
                    None => self.non_reserved_word()?,
                });
            } else {
                body = Some(self.string()?);
            }
        }
        let body = body.ok_or_else(|| self.syntax_error("no inline code specified"))?;
        Ok(StatementKind::Do { language: language.unwrap_or_else(|| "plpgsql".to_owned()), body })
    }

    // ---- triggers ----

    pub fn create_trigger(&mut self, replace: bool) -> Result<StatementKind> {
        let constraint = self.eat(K::Constraint);
        self.expect(K::Trigger)?;
        let name = self.column_id()?;
        let timing = match self.keyword() {
            Some(K::Before) if !constraint => TriggerTiming::Before,
            Some(K::After) => TriggerTiming::After,
            Some(K::Instead) if !constraint => {
                self.advance();
                if !self.is(K::Of) {
                    return Err(self.unexpected());
                }
                TriggerTiming::InsteadOf
            }
            _ => return Err(self.unexpected()),
        };
        self.advance();
        let mut trigger = CreateTrigger {
            replace,
            constraint,
            name,
            timing,
            insert: false,
            update: false,
            delete: false,
            truncate: false,
            columns: Vec::new(),
            table: ObjectName { parts: Vec::new(), position: 0 },
            deferrable: false,
            initially_deferred: false,
            old_table: None,
            new_table: None,
            each_row: constraint,
            when: None,
            function: ObjectName { parts: Vec::new(), position: 0 },
            arguments: Vec::new(),
        };
        loop {
            let event = match self.keyword() {
                Some(K::Insert) => &mut trigger.insert,
                Some(K::Delete) => &mut trigger.delete,
                Some(K::Truncate) => &mut trigger.truncate,
                Some(K::Update) => &mut trigger.update,
                _ => return Err(self.unexpected()),
            };
            if std::mem::replace(event, true) {
                return Err(self.syntax_error("duplicate trigger events specified"));
            }
            let update = self.is(K::Update);
            self.advance();
            if update && self.eat(K::Of) {
                trigger.columns = self.comma_list(Parser::column_id)?;
            }
            if !self.eat(K::Or) {
                break;
            }
        }
        self.expect(K::On)?;
        trigger.table = self.object_name()?;
        if constraint && self.eat(K::From) {
            self.object_name()?;
        }
        if constraint {
            let (deferrable, _) = self.deferrable()?;
            trigger.deferrable = deferrable.deferrable;
            trigger.initially_deferred = deferrable.initially_deferred;
        }
        if self.eat(K::Referencing) {
            self.transition_tables(&mut trigger)?;
        }
        if self.eat(K::For) {
            self.eat(K::Each);
            if constraint {
                self.expect(K::Row)?;
            } else {
                trigger.each_row = self.eat(K::Row);
                if !trigger.each_row {
                    self.expect(K::Statement)?;
                }
            }
        }
        if self.eat(K::When) {
            trigger.when = Some(self.parenthesised_text()?);
        }
        self.expect(K::Execute)?;
        if !self.eat(K::Function) {
            self.expect(K::Procedure)?;
        }
        trigger.function = self.any_object_name()?;
        self.expect_symbol(b'(')?;
        if !self.is_symbol(b')') {
            trigger.arguments = self.comma_list(Parser::trigger_argument)?;
        }
        self.expect_symbol(b')')?;
        Ok(StatementKind::CreateTrigger(Box::new(trigger)))
    }

    fn transition_tables(&mut self, trigger: &mut CreateTrigger) -> Result<()> {
        loop {
            let new = match self.keyword() {
                Some(K::New) => true,
                Some(K::Old) => false,
                _ => return Ok(()),
            };
            self.advance();
            if self.eat(K::Row) {
                return Err(
                    Error::unsupported("ROW variable naming in the REFERENCING clause").at(self.position())
                );
            }
            self.expect(K::Table)?;
            self.eat(K::As);
            let name = self.column_id()?;
            if new {
                trigger.new_table = Some(name);
            } else {
                trigger.old_table = Some(name);
            }
        }
    }

    fn trigger_argument(&mut self) -> Result<String> {
        match self.peek() {
            Kind::String(_) => self.string(),
            Kind::Integer(digits) | Kind::Decimal(digits) => {
                let text = digits.to_string();
                self.advance();
                Ok(text)
            }
            _ => self.label(),
        }
    }

    pub fn drop_trigger(&mut self) -> Result<StatementKind> {
        self.advance();
        let if_exists = self.eat_if_exists()?;
        let name = self.column_id()?;
        self.expect(K::On)?;
        let table = self.object_name()?;
        let cascade = self.cascade();
        Ok(StatementKind::DropTrigger { name, table, if_exists, cascade })
    }

    pub fn alter_trigger(&mut self) -> Result<StatementKind> {
        self.advance();
        let name = self.column_id()?;
        self.expect(K::On)?;
        let table = self.object_name()?;
        if !self.eat_two(K::Rename, K::To) {
            return self.unsupported("ALTER TRIGGER … DEPENDS ON EXTENSION");
        }
        Ok(StatementKind::RenameTrigger { name, table, to: self.column_id()? })
    }
}
