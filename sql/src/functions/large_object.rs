//! Functions of large objects: `session::large_object` by PostgreSQL's names.

use super::arguments::{OidValue, scalar};
use super::{EvalContext, Registry};
use crate::error::{Error, Result, SqlState};
use crate::session::core::StatementContext;
use crate::session::large_object::Whence;
use crate::types::Oid;

fn objects<'a>(context: &EvalContext<'a>) -> Result<&'a StatementContext<'a>> {
    context.services.large_objects().ok_or_else(|| Error::internal("large objects outside of a session"))
}

fn whence(code: i32) -> Result<Whence> {
    match code {
        0 => Ok(Whence::Start),
        1 => Ok(Whence::Here),
        2 => Ok(Whence::End),
        _ => {
            let message = format!("invalid whence setting: {code}");
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message))
        }
    }
}

/// For the functions of old that answer with an integer.
fn narrow(value: i64, function: &str, number: i32) -> Result<i32> {
    i32::try_from(value).map_err(|_| {
        let message = format!("{function} result out of range for large-object descriptor {number}");
        Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
    })
}

fn from_bytes(object: Oid, data: &[u8], context: &EvalContext<'_>) -> Result<OidValue> {
    let objects = self::objects(context)?;
    let object = objects.lo_create(object)?;
    objects.lo_put(object, 0, data)?;
    Ok(OidValue(object))
}

pub fn register(r: &mut Registry) {
    scalar!(r, "be_lo_create", |context; object: OidValue| {
        objects(context)?.lo_create(object.0).map(OidValue)
    });
    scalar!(r, "be_lo_creat", |context; _mode: i32| objects(context)?.lo_create(0).map(OidValue));
    scalar!(r, "be_lo_unlink", |context; object: OidValue| {
        objects(context)?.lo_unlink(object.0).map(|()| 1)
    });
    scalar!(r, "be_lo_open", |context; object: OidValue, mode: i32| {
        objects(context)?.lo_open(object.0, mode)
    });
    scalar!(r, "be_lo_close", |context; number: i32| objects(context)?.lo_close(number).map(|()| 0));
    scalar!(r, "be_loread", |context; number: i32, length: i32| {
        objects(context)?.lo_read(number, length)
    });
    scalar!(r, "be_lowrite", |context; number: i32, data: &[u8]| {
        objects(context)?.lo_write(number, data)
    });
    scalar!(r, "be_lo_lseek", |context; number: i32, offset: i32, from: i32| {
        let target = objects(context)?.lo_seek(number, i64::from(offset), whence(from)?)?;
        narrow(target, "lo_lseek", number)
    });
    scalar!(r, "be_lo_lseek64", |context; number: i32, offset: i64, from: i32| {
        objects(context)?.lo_seek(number, offset, whence(from)?)
    });
    scalar!(r, "be_lo_tell", |context; number: i32| {
        narrow(objects(context)?.lo_tell(number)?, "lo_tell", number)
    });
    scalar!(r, "be_lo_tell64", |context; number: i32| objects(context)?.lo_tell(number));
    scalar!(r, "be_lo_truncate", |context; number: i32, length: i32| {
        objects(context)?.lo_truncate(number, i64::from(length)).map(|()| 0)
    });
    scalar!(r, "be_lo_truncate64", |context; number: i32, length: i64| {
        objects(context)?.lo_truncate(number, length).map(|()| 0)
    });
    scalar!(r, "be_lo_from_bytea", |context; object: OidValue, data: &[u8]| from_bytes(object.0, data, context));
    scalar!(r, "be_lo_get", |context; object: OidValue| {
        objects(context)?.lo_get(object.0, 0, u64::MAX)
    });
    scalar!(r, "be_lo_get_fragment", |context; object: OidValue, offset: i64, length: i32| {
        let length = u64::try_from(length).map_err(|_| {
            Error::new(SqlState::INVALID_PARAMETER_VALUE, "requested length cannot be negative")
        })?;
        objects(context)?.lo_get(object.0, offset, length)
    });
    scalar!(r, "be_lo_put", |context; object: OidValue, offset: i64, data: &[u8]| {
        objects(context)?.lo_put(object.0, offset, data)
    });
    for name in ["be_lo_import", "be_lo_import_with_oid", "be_lo_export"] {
        r.scalar(name, |_, _| {
            Err(Error::unsupported("reading and writing the server's files with large objects"))
        });
    }
}
