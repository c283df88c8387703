//! SQL text to syntax tree: `lexer` → sqlparser's parser over our tokens, with `extension` for what it lacks →
//! `lower` into [`ast`].

pub mod ast;

use crate::error::Result;

/// Nesting beyond this is an error (54001) before it is a stack overflow.
pub const DEPTH_MAX: usize = 256;

/// Parses a whole query string: statements separated by semicolons. No statements: an empty vector.
pub fn parse(_sql: &str) -> Result<Vec<ast::Statement>> {
    todo!()
}

/// Parses one expression (defaults and checks are kept as text in the catalog).
pub fn parse_expression(_sql: &str) -> Result<ast::Expr> {
    todo!()
}
