//! PARTITION BY, PARTITION OF, partition bounds, and ALTER TABLE's actions on partitions and parents.

use super::ast::*;
use super::cursor::Parser;
use super::keywords::Keyword as K;
use crate::error::{Error, Result, SqlState};

impl Parser<'_> {
    /// PARTITION BY strategy (key, …), if it is there.
    pub fn partition_by(&mut self) -> Result<Option<PartitionBy>> {
        if !self.is(K::Partition) {
            return Ok(None);
        }
        self.advance();
        self.expect(K::By)?;
        let position = self.position();
        let strategy = self.label()?;
        let keys = self.parenthesised(Parser::partition_key_part)?;
        Ok(Some(PartitionBy { strategy, keys, position }))
    }

    fn partition_key_part(&mut self) -> Result<PartitionKeyPart> {
        let position = self.position();
        let from = self.at;
        let (expr, text) = if self.is_symbol(b'(') {
            self.parenthesised_text()?
        } else {
            let expr = self.index_expr()?;
            (expr, self.text_from(from))
        };
        let collation = if self.eat(K::Collate) { Some(self.any_object_name()?) } else { None };
        let operator_class = match self.is_symbol(b',') || self.is_symbol(b')') {
            true => None,
            false => Some(self.any_object_name()?),
        };
        Ok(PartitionKeyPart { expr, text, collation, operator_class, position })
    }

    /// `PARTITION OF parent [( column options | constraint, … )] bound`.
    pub fn partition_of(&mut self, table: &mut CreateTable) -> Result<()> {
        self.advance();
        self.expect(K::Of)?;
        let parent = self.object_name()?;
        if self.is_symbol(b'(') {
            self.advance();
            loop {
                self.partition_element(table)?;
                if !self.eat_symbol(b',') {
                    break;
                }
            }
            self.expect_symbol(b')')?;
        }
        table.partition_of = Some((parent, self.partition_bound()?));
        Ok(())
    }

    fn partition_element(&mut self, table: &mut CreateTable) -> Result<()> {
        if matches!(self.keyword(), Some(K::Constraint | K::Check | K::Unique | K::Primary | K::Foreign))
            || (self.is(K::Exclude)
                && (self.is_symbol_ahead(1, b'(') || self.keyword_ahead(1) == Some(K::Using)))
        {
            let (constraint, _) = self.table_constraint()?;
            table.constraints.push(constraint);
            return Ok(());
        }
        let position = self.position();
        let name = self.column_id()?;
        if self.eat(K::With) {
            self.expect(K::Options)?;
        }
        let mut constraints = Vec::new();
        while let Some(constraint) = self.column_constraint()? {
            constraints.push(constraint);
        }
        table.partition_columns.push((name, constraints, position));
        Ok(())
    }

    /// `FOR VALUES …` or DEFAULT.
    pub fn partition_bound(&mut self) -> Result<PartitionBoundSpec> {
        let start = self.position();
        if self.eat(K::Default) {
            return Ok(PartitionBoundSpec::Default(start));
        }
        self.expect(K::For)?;
        self.expect(K::Values)?;
        let position = self.position();
        if self.eat(K::In) {
            return Ok(PartitionBoundSpec::List(self.parenthesised(Parser::expr)?, position));
        }
        if self.eat(K::From) {
            let from = self.parenthesised(Parser::expr)?;
            self.expect(K::To)?;
            let to = self.parenthesised(Parser::expr)?;
            return Ok(PartitionBoundSpec::Range { from, to, position });
        }
        self.expect(K::With)?;
        let (mut modulus, mut remainder) = (None, None);
        self.parenthesised(|parser| {
            let at = parser.position();
            let word = parser.label()?;
            let slot = match word.as_str() {
                "modulus" => &mut modulus,
                "remainder" => &mut remainder,
                other => {
                    let message = format!("unrecognized hash partition bound specification \"{other}\"");
                    return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(at));
                }
            };
            if slot.is_some() {
                let message = format!("{word} for hash partition provided more than once");
                return Err(Error::new(SqlState::DUPLICATE_OBJECT, message).at(at));
            }
            *slot = Some(parser.signed_integer()?);
            Ok(())
        })?;
        let missing = |what: &str| {
            let message = format!("{what} for hash partition must be specified");
            Error::new(SqlState::SYNTAX_ERROR, message)
        };
        let modulus = modulus.ok_or_else(|| missing("modulus"))?;
        let remainder = remainder.ok_or_else(|| missing("remainder"))?;
        Ok(PartitionBoundSpec::Hash { modulus, remainder, position })
    }

    /// ATTACH PARTITION, DETACH PARTITION, INHERIT, NO INHERIT; None: another action.
    pub fn alter_inheritance(&mut self) -> Result<Option<AlterTableAction>> {
        let second = self.keyword_ahead(1);
        match self.keyword() {
            Some(K::Attach) if second == Some(K::Partition) => {
                self.advance();
                self.advance();
                let name = self.object_name()?;
                if !self.is(K::For) && !self.is(K::Default) {
                    return Ok(Some(AlterTableAction::AttachIndex(name)));
                }
                let bound = self.partition_bound()?;
                Ok(Some(AlterTableAction::AttachPartition { name, bound }))
            }
            Some(K::Detach) if second == Some(K::Partition) => {
                self.advance();
                self.advance();
                let name = self.object_name()?;
                let concurrently = self.eat(K::Concurrently);
                let finalize = !concurrently && self.eat(K::Finalize);
                Ok(Some(AlterTableAction::DetachPartition { name, concurrently, finalize }))
            }
            Some(K::Inherit) => {
                self.advance();
                Ok(Some(AlterTableAction::Inherit(self.object_name()?)))
            }
            Some(K::No) if second == Some(K::Inherit) => {
                self.advance();
                self.advance();
                Ok(Some(AlterTableAction::NoInherit(self.object_name()?)))
            }
            _ => Ok(None),
        }
    }
}
