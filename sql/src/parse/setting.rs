//! SET, RESET, SHOW and their forms inside ALTER SYSTEM / DATABASE / ROLE.

use super::ast::*;
use super::cursor::Parser;
use super::keywords::Keyword as K;
use super::lexer::Kind;
use crate::error::Result;

impl Parser<'_> {
    pub fn set(&mut self) -> Result<StatementKind> {
        self.advance();
        match self.keyword() {
            Some(K::Transaction) => {
                self.advance();
                return self.set_transaction(false);
            }
            Some(K::Constraints) => return self.set_constraints(),
            Some(K::Session)
                if self.keyword_ahead(1) == Some(K::Characteristics)
                    && self.keyword_ahead(2) == Some(K::As) =>
            {
                self.advance();
                self.advance();
                self.advance();
                self.expect(K::Transaction)?;
                return self.set_transaction(true);
            }
            _ => {}
        }
        let mut local = false;
        // SESSION and LOCAL may also be the first part of a setting's name.
        if matches!(self.keyword(), Some(K::Session | K::Local))
            && self.word_ahead(1).is_some()
            && !(self.is(K::Session) && self.keyword_ahead(1) == Some(K::Authorization))
            && !matches!(self.keyword_ahead(1), Some(K::To))
        {
            local = self.is(K::Local);
            self.advance();
        }
        let (name, value) = self.setting()?;
        Ok(StatementKind::Set { name, value, local })
    }

    fn set_transaction(&mut self, session: bool) -> Result<StatementKind> {
        if !session && self.eat(K::Snapshot) {
            let snapshot = Some(self.string()?);
            return Ok(StatementKind::SetTransaction {
                modes: TransactionModes::default(),
                session,
                snapshot,
            });
        }
        if self.at_statement_end() {
            return Err(self.unexpected());
        }
        let modes = self.transaction_modes()?;
        Ok(StatementKind::SetTransaction { modes, session, snapshot: None })
    }

    fn set_constraints(&mut self) -> Result<StatementKind> {
        self.advance();
        let names = if self.eat(K::All) { Vec::new() } else { self.comma_list(Parser::object_name)? };
        let deferred = self.eat(K::Deferred);
        if !deferred {
            self.expect(K::Immediate)?;
        }
        Ok(StatementKind::SetConstraints { names, deferred })
    }

    /// set_rest_more and generic_set: name and new value.
    pub fn setting(&mut self) -> Result<(String, SetValue)> {
        let one = |value: String| SetValue::Values(vec![value]);
        match self.keyword() {
            Some(K::Time) if self.keyword_ahead(1) == Some(K::Zone) => {
                self.advance();
                self.advance();
                return Ok(("timezone".to_owned(), self.zone_value()?));
            }
            Some(K::Session) if self.keyword_ahead(1) == Some(K::Authorization) => {
                self.advance();
                self.advance();
                let value =
                    if self.eat(K::Default) { SetValue::Default } else { one(self.word_or_string()?) };
                return Ok(("session_authorization".to_owned(), value));
            }
            Some(K::Role) if !self.setting_operator_ahead(1) => {
                self.advance();
                return Ok(("role".to_owned(), one(self.word_or_string()?)));
            }
            Some(K::Names) if !self.setting_operator_ahead(1) => {
                self.advance();
                let value = match self.eat_string() {
                    Some(encoding) => one(encoding),
                    None => {
                        self.eat(K::Default);
                        SetValue::Default
                    }
                };
                return Ok(("client_encoding".to_owned(), value));
            }
            Some(K::Schema) if matches!(self.peek_ahead(1), Kind::String(_)) => {
                self.advance();
                return Ok(("search_path".to_owned(), one(self.string()?)));
            }
            Some(K::Xml) if self.keyword_ahead(1) == Some(K::Option) => {
                self.advance();
                self.advance();
                return Ok(("xmloption".to_owned(), one(self.label()?)));
            }
            _ => {}
        }
        let name = self.setting_name()?;
        if self.eat_two(K::From, K::Current) {
            // The value the session has now: what ALTER … SET … FROM CURRENT stores.
            return Ok((name, SetValue::Values(Vec::new())));
        }
        if !self.eat_symbol(b'=') {
            self.expect(K::To)?;
        }
        if self.eat(K::Default) {
            return Ok((name, SetValue::Default));
        }
        Ok((name, SetValue::Values(self.comma_list(Parser::setting_value)?)))
    }

    fn setting_operator_ahead(&self, ahead: usize) -> bool {
        self.is_symbol_ahead(ahead, b'=') || self.keyword_ahead(ahead) == Some(K::To)
    }

    /// var_name: names may be dotted.
    fn setting_name(&mut self) -> Result<String> {
        let mut name = self.column_id()?;
        while self.eat_symbol(b'.') {
            name.push('.');
            name.push_str(&self.column_id()?);
        }
        Ok(name)
    }

    fn setting_value(&mut self) -> Result<String> {
        match self.peek() {
            Kind::Integer(_) | Kind::Decimal(_) | Kind::Symbol(b'-' | b'+') => self.signed_number(),
            Kind::Keyword(K::True | K::False | K::On) => self.label(),
            _ => self.word_or_string(),
        }
    }

    fn word_or_string(&mut self) -> Result<String> {
        match self.eat_string() {
            Some(value) => Ok(value),
            None => self.non_reserved_word(),
        }
    }

    /// zone_value: a name, a number of hours, an interval, LOCAL or DEFAULT.
    fn zone_value(&mut self) -> Result<SetValue> {
        if self.eat(K::Local) || self.eat(K::Default) {
            return Ok(SetValue::Default);
        }
        if self.eat(K::Interval) {
            if self.is_symbol(b'(') {
                self.type_modifiers()?;
            }
            let value = self.string()?;
            let mut fields = TypeName {
                name: ObjectName { parts: Vec::new(), position: 0 },
                modifiers: Vec::new(),
                interval_fields: None,
                array_dimensions: 0,
                setof: false,
            };
            self.interval_fields(&mut fields)?;
            return Ok(SetValue::Values(vec![format!("INTERVAL '{}'", value.replace('\'', "''"))]));
        }
        if matches!(self.peek(), Kind::Integer(_) | Kind::Decimal(_) | Kind::Symbol(b'-' | b'+')) {
            return Ok(SetValue::Values(vec![self.signed_number()?]));
        }
        Ok(SetValue::Values(vec![self.word_or_string()?]))
    }

    /// The name in RESET and SHOW, with their grammar words. None: ALL.
    pub fn setting_to_read(&mut self) -> Result<Option<String>> {
        if self.eat(K::All) {
            return Ok(None);
        }
        let words = match (self.keyword(), self.keyword_ahead(1)) {
            (Some(K::Time), Some(K::Zone)) => "timezone",
            (Some(K::Session), Some(K::Authorization)) => "session_authorization",
            (Some(K::Transaction), Some(K::Isolation)) => {
                self.advance();
                self.advance();
                self.expect(K::Level)?;
                return Ok(Some("transaction_isolation".to_owned()));
            }
            _ => return Ok(Some(self.setting_name()?)),
        };
        self.advance();
        self.advance();
        Ok(Some(words.to_owned()))
    }

    pub fn reset(&mut self) -> Result<StatementKind> {
        self.advance();
        Ok(StatementKind::Reset(self.setting_to_read()?))
    }

    pub fn show(&mut self) -> Result<StatementKind> {
        self.advance();
        Ok(StatementKind::Show(self.setting_to_read()?))
    }

    /// SET … or RESET … inside ALTER SYSTEM / DATABASE / ROLE.
    pub fn alter_setting(&mut self, target: SettingTarget) -> Result<StatementKind> {
        if self.eat(K::Reset) {
            let name = self.setting_to_read()?.unwrap_or_else(|| "all".to_owned());
            return Ok(StatementKind::AlterSetting { target, name, value: None });
        }
        self.expect(K::Set)?;
        let (name, value) = self.setting()?;
        Ok(StatementKind::AlterSetting { target, name, value: Some(value) })
    }
}
