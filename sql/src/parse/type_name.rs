//! Type names: `numeric(10,2)[]`, `timestamp(3) with time zone`, `interval day to second`, `setof s.t%ROWTYPE`, …

use super::ast::{ObjectName, Position, TypeName};
use super::cursor::Parser;
use super::keywords::Keyword as K;
use super::lexer::Kind;
use crate::error::{Error, Result, SqlState};

fn builtin(name: &str, position: Position) -> TypeName {
    TypeName {
        name: ObjectName { parts: vec![name.to_owned()], position },
        modifiers: Vec::new(),
        interval_fields: None,
        array_dimensions: 0,
        setof: false,
    }
}

impl Parser<'_> {
    pub fn type_name(&mut self) -> Result<TypeName> {
        let setof = self.eat(K::Setof);
        let mut data_type = self.simple_type_name()?;
        data_type.setof = setof;
        if self.eat(K::Array) {
            data_type.array_dimensions = 1;
            if self.eat_symbol(b'[') {
                self.eat_integer().ok_or_else(|| self.unexpected())?;
                self.expect_symbol(b']')?;
            }
            return Ok(data_type);
        }
        while self.is_symbol(b'[') {
            self.advance();
            self.eat_integer();
            self.expect_symbol(b']')?;
            data_type.array_dimensions = data_type.array_dimensions.saturating_add(1);
        }
        Ok(data_type)
    }

    /// A type without SETOF and array bounds.
    pub fn simple_type_name(&mut self) -> Result<TypeName> {
        let position = self.position();
        if let Some(keyword) = self.keyword()
            && let Some(data_type) = self.keyword_type(keyword, position)?
        {
            return Ok(data_type);
        }
        let first = self.type_function_name()?;
        let name = self.object_name_rest(first, position)?;
        let mut data_type = builtin("", position);
        data_type.name = name;
        data_type.modifiers = self.type_modifiers()?;
        Ok(data_type)
    }

    /// The types whose names are grammar.
    fn keyword_type(&mut self, keyword: K, position: Position) -> Result<Option<TypeName>> {
        let name = match keyword {
            K::Int | K::Integer => "int4",
            K::Smallint => "int2",
            K::Bigint => "int8",
            K::Real => "float4",
            K::Boolean => "bool",
            K::Decimal | K::Dec | K::Numeric => "numeric",
            K::Float => return self.float_type(position).map(Some),
            K::Double => {
                self.advance();
                self.expect(K::Precision)?;
                return Ok(Some(builtin("float8", position)));
            }
            K::Bit => {
                self.advance();
                let mut data_type = builtin(if self.eat(K::Varying) { "varbit" } else { "bit" }, position);
                data_type.modifiers = self.type_modifiers()?;
                if data_type.modifiers.is_empty() && data_type.name.parts[0] == "bit" {
                    data_type.modifiers.push(1);
                }
                return Ok(Some(data_type));
            }
            K::Character | K::Char | K::Nchar | K::National | K::Varchar => {
                return self.character_type(keyword, position).map(Some);
            }
            K::Timestamp | K::Time => return self.time_type(keyword, position).map(Some),
            K::Interval => return self.interval_type(position).map(Some),
            _ => return Ok(None),
        };
        self.advance();
        let mut data_type = builtin(name, position);
        if name == "numeric" {
            data_type.modifiers = self.type_modifiers()?;
        }
        Ok(Some(data_type))
    }

    fn float_type(&mut self, position: Position) -> Result<TypeName> {
        self.advance();
        let bits = self.type_modifiers()?;
        let name = match bits.first() {
            None => "float8",
            Some(..=0) => {
                return Err(Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    "precision for type float must be at least 1 bit",
                )
                .at(position));
            }
            Some(..=24) => "float4",
            Some(..=53) => "float8",
            Some(_) => {
                return Err(Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    "precision for type float must be less than 54 bits",
                )
                .at(position));
            }
        };
        Ok(builtin(name, position))
    }

    fn character_type(&mut self, keyword: K, position: Position) -> Result<TypeName> {
        self.advance();
        if keyword == K::National && !(self.eat(K::Character) || self.eat(K::Char)) {
            return Err(self.unexpected());
        }
        let varying = keyword == K::Varchar || self.eat(K::Varying);
        let mut data_type = builtin(if varying { "varchar" } else { "bpchar" }, position);
        data_type.modifiers = self.type_modifiers()?;
        if !varying && data_type.modifiers.is_empty() {
            data_type.modifiers.push(1);
        }
        Ok(data_type)
    }

    fn time_type(&mut self, keyword: K, position: Position) -> Result<TypeName> {
        self.advance();
        let modifiers = self.type_modifiers()?;
        let zoned = if self.is(K::With) && self.keyword_ahead(1) == Some(K::Time) {
            self.advance();
            self.advance();
            self.expect(K::Zone)?;
            true
        } else {
            if self.is(K::Without) && self.keyword_ahead(1) == Some(K::Time) {
                self.advance();
                self.advance();
                self.expect(K::Zone)?;
            }
            false
        };
        let name = match (keyword, zoned) {
            (K::Timestamp, false) => "timestamp",
            (K::Timestamp, true) => "timestamptz",
            (_, false) => "time",
            (_, true) => "timetz",
        };
        let mut data_type = builtin(name, position);
        data_type.modifiers = modifiers;
        Ok(data_type)
    }

    fn interval_type(&mut self, position: Position) -> Result<TypeName> {
        self.advance();
        let mut data_type = builtin("interval", position);
        data_type.modifiers = self.type_modifiers()?;
        if data_type.modifiers.is_empty() {
            self.interval_fields(&mut data_type)?;
        }
        Ok(data_type)
    }

    /// opt_interval: `year to month`, `second(3)`, …
    pub fn interval_fields(&mut self, data_type: &mut TypeName) -> Result<()> {
        let Some(first @ (K::Year | K::Month | K::Day | K::Hour | K::Minute | K::Second)) = self.keyword()
        else {
            return Ok(());
        };
        self.advance();
        let mut fields = first.text().to_owned();
        let mut last = first;
        if self.is(K::To) {
            let to = self.keyword_ahead(1);
            let allowed = match first {
                K::Year => matches!(to, Some(K::Month)),
                K::Day => matches!(to, Some(K::Hour | K::Minute | K::Second)),
                K::Hour => matches!(to, Some(K::Minute | K::Second)),
                K::Minute => matches!(to, Some(K::Second)),
                _ => false,
            };
            self.advance();
            match to {
                Some(to) if allowed => {
                    self.advance();
                    fields.push_str(" to ");
                    fields.push_str(to.text());
                    last = to;
                }
                _ => return Err(self.unexpected()),
            }
        }
        if last == K::Second && self.is_symbol(b'(') {
            data_type.modifiers = self.type_modifiers()?;
        }
        data_type.interval_fields = Some(fields);
        Ok(())
    }

    /// `( n, … )` if it is there.
    pub fn type_modifiers(&mut self) -> Result<Vec<i32>> {
        if !self.is_symbol(b'(') {
            return Ok(Vec::new());
        }
        self.parenthesised(|parser| {
            let position = parser.position();
            // Any expression is grammar here; only integers mean something to the types that exist.
            match parser.peek() {
                Kind::Integer(_) | Kind::Symbol(b'-' | b'+') => {
                    let value = parser.signed_integer()?;
                    i32::try_from(value).map_err(|_| {
                        Error::new(SqlState::INVALID_PARAMETER_VALUE, "type modifiers are out of range")
                            .at(position)
                    })
                }
                _ => Err(parser.unexpected()),
            }
        })
    }
}
