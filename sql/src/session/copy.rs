//! COPY.

use super::connection::Session;
use super::portal::Portal;
use super::{Output, Progress};
use crate::error::{Error, Result};
use crate::parse::ast::Copy;

pub(super) struct CopyIn;
pub(super) struct CopyOut;

impl Session {
    pub(super) fn copy(
        &mut self,
        _copy: &Copy,
        _portal: &mut Portal,
        _out: &mut dyn Output,
    ) -> Result<Option<Progress>> {
        Err(Error::unsupported("COPY"))
    }
    pub(super) fn advance_copy_out(
        &mut self,
        _portal: &mut Portal,
        _out: &mut dyn Output,
    ) -> Result<Progress> {
        Err(Error::unsupported("COPY"))
    }
    pub fn copy_in_data(&mut self, _data: &[u8], _out: &mut dyn Output) -> Result<()> {
        Err(Error::unsupported("COPY"))
    }
    pub fn copy_in_done(&mut self, _out: &mut dyn Output) -> Result<Progress> {
        Err(Error::unsupported("COPY"))
    }
    /// CopyFail: returns the error to send (57014).
    pub fn copy_in_fail(&mut self, _message: &str) -> Error {
        Error::unsupported("COPY")
    }
}
