//! What domains demand of values.
//!
//! Input functions and casts make values of a domain's base type; [`verify`] then asks the session to check them, wherever a value
//! becomes one of a domain or of a type that holds domains (arrays, rows): casts, parameters, COPY, assignments in PL/pgSQL.

use super::EvalContext;
use crate::catalog::{FIRST_USER_OID, TypeInfo};
use crate::error::Result;
use crate::types::{Datum, Type, user};

/// Checks a value as a value of `data_type`: 23502 or 23514 from a domain that won't have it.
pub fn verify(value: &Datum, data_type: Type, context: &EvalContext<'_>) -> Result<()> {
    if data_type.0 < FIRST_USER_OID {
        return Ok(());
    }
    match (user::type_info(data_type), value) {
        (Some(TypeInfo::Domain(base, _)), value) => {
            verify(value, base, context)?;
            context.services.check_domain(data_type.0, value)
        }
        (Some(TypeInfo::ArrayOf(element)), Datum::Array(array)) if element.may_hold_domains() => {
            array.elements.iter().try_for_each(|value| verify(value, element, context))
        }
        (Some(TypeInfo::Row), Datum::Record(record)) => {
            record.iter().try_for_each(|(field_type, field)| verify(field, *field_type, context))
        }
        _ => Ok(()),
    }
}
