//! Statements about objects of any kind: DROP and COMMENT.

use super::ast::*;
use super::cursor::Parser;
use super::keywords::Keyword as K;
use crate::error::Result;

impl Parser<'_> {
    pub fn drop(&mut self) -> Result<StatementKind> {
        self.advance();
        let Some(keyword) = self.keyword() else {
            return Err(self.unexpected());
        };
        let object = match keyword {
            K::Table => ObjectKind::Table,
            K::Index => ObjectKind::Index,
            K::Sequence => ObjectKind::Sequence,
            K::View => ObjectKind::View,
            K::Schema => ObjectKind::Schema,
            K::Type => ObjectKind::Type,
            K::Domain => ObjectKind::Domain,
            K::Extension => ObjectKind::Extension,
            K::Materialized => {
                self.advance();
                if !self.is(K::View) {
                    return Err(self.unexpected());
                }
                ObjectKind::MaterializedView
            }
            K::Database => return self.drop_database(),
            K::Role | K::Group => ObjectKind::Role,
            K::User if self.keyword_ahead(1) != Some(K::Mapping) => ObjectKind::Role,
            K::Owned => return self.drop_owned(),
            K::Event | K::Foreign | K::Text | K::User | K::Access | K::Procedural => {
                let name = format!("DROP {}", keyword.text().to_ascii_uppercase());
                return self.unsupported(&name);
            }
            K::Function | K::Procedure | K::Routine => return self.drop_routine(),
            K::Trigger => return self.drop_trigger(),
            K::Aggregate
            | K::Cast
            | K::Collation
            | K::Conversion
            | K::Language
            | K::Operator
            | K::Policy
            | K::Publication
            | K::Rule
            | K::Server
            | K::Statistics
            | K::Subscription
            | K::Tablespace
            | K::Transform => {
                let name = format!("DROP {}", keyword.text().to_ascii_uppercase());
                return self.unsupported(&name);
            }
            _ => return Err(self.unexpected()),
        };
        self.advance();
        let concurrently = object == ObjectKind::Index && self.eat(K::Concurrently);
        let if_exists = self.eat_if_exists()?;
        let names = match object {
            ObjectKind::Role => self.comma_list(|parser| {
                let position = parser.position();
                Ok(ObjectName { parts: vec![parser.plain_role("DROP ROLE")?], position })
            })?,
            ObjectKind::Type | ObjectKind::Domain => {
                self.comma_list(|parser| Ok(parser.type_name()?.name))?
            }
            _ => self.comma_list(Parser::object_name)?,
        };
        let cascade = self.cascade();
        Ok(StatementKind::Drop { object, names, if_exists, cascade, concurrently })
    }

    fn drop_database(&mut self) -> Result<StatementKind> {
        self.advance();
        let if_exists = self.eat_if_exists()?;
        let name = self.column_id()?;
        self.eat(K::With);
        let mut force = false;
        if self.is_symbol(b'(') {
            self.parenthesised(|parser| parser.expect(K::Force))?;
            force = true;
        }
        Ok(StatementKind::DropDatabase { name, if_exists, force })
    }

    pub fn comment(&mut self) -> Result<StatementKind> {
        self.advance();
        self.expect(K::On)?;
        let object = match self.keyword() {
            Some(K::Table) => ObjectKind::Table,
            Some(K::Index) => ObjectKind::Index,
            Some(K::Sequence) => ObjectKind::Sequence,
            Some(K::View) => ObjectKind::View,
            Some(K::Schema) => ObjectKind::Schema,
            Some(K::Database) => ObjectKind::Database,
            Some(K::Role) => ObjectKind::Role,
            Some(K::Column) => ObjectKind::Column,
            Some(K::Constraint) => ObjectKind::Constraint,
            Some(K::Extension) => ObjectKind::Extension,
            Some(K::Large) => {
                let name = self.large_object()?;
                let text = self.comment_text()?;
                return Ok(StatementKind::Comment {
                    object: ObjectKind::LargeObject,
                    name,
                    column: None,
                    text,
                });
            }
            Some(K::Materialized) => {
                self.advance();
                ObjectKind::MaterializedView
            }
            Some(K::Type) => ObjectKind::Type,
            Some(K::Domain) => ObjectKind::Domain,
            Some(K::Trigger) => ObjectKind::Trigger,
            Some(K::Function | K::Procedure | K::Routine) => {
                let class = self.routine_class();
                let signature = self.routine_signature()?;
                let text = self.comment_text()?;
                return Ok(StatementKind::CommentOnRoutine { class, signature, text });
            }
            Some(_) => return self.unsupported("COMMENT"),
            None => return Err(self.unexpected()),
        };
        self.advance();
        let position = self.position();
        let (name, column) = match object {
            ObjectKind::Column => {
                let mut parts = vec![self.column_id()?];
                while self.eat_symbol(b'.') {
                    parts.push(self.label()?);
                }
                let column = parts.pop();
                if parts.is_empty() {
                    return Err(self.syntax_error("column name must be qualified").at(position));
                }
                (ObjectName { parts, position }, column)
            }
            ObjectKind::Constraint | ObjectKind::Trigger => {
                // The table as `name`, the constraint or trigger as `column`.
                let constraint = self.column_id()?;
                self.expect(K::On)?;
                if self.is(K::Domain) {
                    return self.unsupported("COMMENT ON CONSTRAINT ON DOMAIN");
                }
                (self.object_name()?, Some(constraint))
            }
            _ => (self.object_name()?, None),
        };
        let text = self.comment_text()?;
        Ok(StatementKind::Comment { object, name, column, text })
    }

    /// `LARGE OBJECT number`: the number as a name.
    pub fn large_object(&mut self) -> Result<ObjectName> {
        self.advance();
        self.expect(K::Object)?;
        self.large_object_number()
    }

    pub fn large_object_number(&mut self) -> Result<ObjectName> {
        let position = self.position();
        let number = self.signed_number()?;
        Ok(ObjectName { parts: vec![number], position })
    }

    fn comment_text(&mut self) -> Result<Option<String>> {
        self.expect(K::Is)?;
        Ok(if self.eat(K::Null) { None } else { Some(self.string()?) })
    }
}
