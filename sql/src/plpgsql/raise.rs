//! RAISE, ASSERT, GET DIAGNOSTICS, and which errors a handler takes.

use super::conditions;
use super::exec::Frame;
use super::tree::{Condition, Expression, Raise, RaiseOption};
use crate::error::{Error, Result, Severity, SqlState};
use crate::types::{Datum, Type};

/// Whether WHEN takes the error. OTHERS leaves cancellation and failed assertions alone.
pub fn matches(condition: &Condition, error: &Error) -> bool {
    let state = error.state();
    match condition {
        Condition::Others => state != SqlState::QUERY_CANCELED && state != SqlState::ASSERT_FAILURE,
        Condition::State(wanted) if wanted.0.ends_with(b"000") => wanted.0[..2] == state.0[..2],
        Condition::State(wanted) => *wanted == state,
    }
}

impl Frame<'_> {
    /// An expression's value as text; None: null.
    pub fn text(&mut self, expression: &Expression) -> Result<Option<String>> {
        let (value, data_type) = self.evaluate(expression)?;
        self.as_text(&value, data_type)
    }

    pub fn as_text(&self, value: &Datum, data_type: Type) -> Result<Option<String>> {
        match value {
            Datum::Null => Ok(None),
            Datum::Text(text) => Ok(Some(text.to_string())),
            value => {
                crate::functions::format_in_context(value, data_type, &self.nested.context.eval).map(Some)
            }
        }
    }

    pub fn raise(&mut self, raise: &Raise) -> Result<()> {
        if raise.again {
            return Err(match self.handled.last() {
                Some(error) => error.clone(),
                None => Error::new(
                    SqlState::STACKED_DIAGNOSTICS_WITHOUT_HANDLER,
                    "RAISE without parameters cannot be used outside an exception handler",
                ),
            });
        }
        let mut message = match &raise.message {
            Some(format) => Some(self.format(format, &raise.parameters)?),
            None => None,
        };
        let mut state = raise.state;
        let mut name = raise.name.clone();
        let twice = |name: &str| {
            Error::new(SqlState::SYNTAX_ERROR, format!("RAISE option already specified: {name}"))
        };
        let mut given: Vec<(RaiseOption, String)> = Vec::new();
        for (option, expression) in &raise.options {
            let value = self.text(expression)?.ok_or_else(|| {
                Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "RAISE statement option cannot be null")
            })?;
            match option {
                RaiseOption::Code => {
                    if state.is_some() {
                        return Err(twice("ERRCODE"));
                    }
                    let found = conditions::state(&value).or_else(|| conditions::condition(&value));
                    state = Some(found.ok_or_else(|| {
                        let message = format!("unrecognized exception condition \"{value}\"");
                        Error::new(SqlState::UNDEFINED_OBJECT, message)
                    })?);
                    name = Some(value);
                }
                RaiseOption::Message => {
                    if message.is_some() {
                        return Err(twice("MESSAGE"));
                    }
                    message = Some(value);
                }
                option => {
                    if given.iter().any(|(known, _)| known == option) {
                        return Err(twice(&format!("{option:?}").to_ascii_uppercase()));
                    }
                    given.push((*option, value));
                }
            }
        }
        let is_error = raise.severity == Severity::Error;
        let state = state.unwrap_or(match raise.severity {
            Severity::Error => SqlState::RAISE_EXCEPTION,
            Severity::Warning => SqlState::WARNING,
            _ => SqlState::SUCCESSFUL_COMPLETION,
        });
        let message = message.or(name).unwrap_or_else(|| state.as_str().to_owned());
        let mut error = Error::new(state, message).routine("exec_stmt_raise");
        for (option, value) in given {
            let fields = error.fields_mut();
            let field = match option {
                RaiseOption::Detail => &mut fields.detail,
                RaiseOption::Hint => &mut fields.hint,
                RaiseOption::Column => &mut fields.column,
                RaiseOption::Constraint => &mut fields.constraint,
                RaiseOption::DataType => &mut fields.data_type,
                RaiseOption::Table => &mut fields.table,
                RaiseOption::Schema => &mut fields.schema,
                RaiseOption::Code | RaiseOption::Message => continue,
            };
            *field = Some(value);
        }
        if is_error {
            return Err(error);
        }
        let notice = error.within(self.location("RAISE")).severity(raise.severity);
        self.nested.context.eval.services.notice(notice);
        Ok(())
    }

    /// `%` takes the next parameter, `%%` is a percent sign.
    fn format(&mut self, format: &str, parameters: &[Expression]) -> Result<String> {
        let mut out = String::with_capacity(format.len());
        let mut parameters = parameters.iter();
        let mut chars = format.chars().peekable();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
            } else if chars.next_if_eq(&'%').is_some() {
                out.push('%');
            } else if let Some(parameter) = parameters.next() {
                match self.text(parameter)? {
                    Some(text) => out.push_str(&text),
                    None => out.push_str("<NULL>"),
                }
            }
        }
        Ok(out)
    }

    pub fn assert(&mut self, condition: &Expression, message: Option<&Expression>) -> Result<()> {
        if self.nested.core.setting("plpgsql.check_asserts", None).is_ok_and(|value| value == "off") {
            return Ok(());
        }
        if self.condition(condition)? {
            return Ok(());
        }
        let message = match message {
            Some(message) => self.text(message)?,
            None => None,
        };
        let message = message.unwrap_or_else(|| "assertion failed".to_owned());
        Err(Error::new(SqlState::ASSERT_FAILURE, message))
    }

    pub fn diagnostic(&self, item: &str, stacked: bool) -> Result<(Datum, Type)> {
        if !stacked {
            return Ok(match item {
                "row_count" => (Datum::Int8(self.row_count), Type::INT8),
                "pg_context" => (Datum::text(self.location("GET DIAGNOSTICS")), Type::TEXT),
                _ => (Datum::Oid(self.call.routine.oid), Type::OID),
            });
        }
        let error = self.handled.last().ok_or_else(|| {
            Error::new(
                SqlState::STACKED_DIAGNOSTICS_WITHOUT_HANDLER,
                "GET STACKED DIAGNOSTICS cannot be used outside an exception handler",
            )
        })?;
        let fields = error.fields();
        let text = match item {
            "returned_sqlstate" => Some(fields.state.as_str().to_owned()),
            "message_text" => Some(fields.message.clone()),
            "pg_exception_detail" => fields.detail.clone(),
            "pg_exception_hint" => fields.hint.clone(),
            "pg_exception_context" | "pg_context" => fields.context.clone(),
            "column_name" => fields.column.clone(),
            "constraint_name" => fields.constraint.clone(),
            "pg_datatype_name" => fields.data_type.clone(),
            "table_name" => fields.table.clone(),
            _ => fields.schema.clone(),
        };
        Ok((Datum::text(text.unwrap_or_default()), Type::TEXT))
    }
}
