//! What EXPLAIN shows, and its four forms: text, JSON, YAML and XML.
//!
//! The structured ones name everything that the text packs into a line (`Seq Scan on t  (cost=…)`), and show what the text
//! leaves out when it is false or zero. The labels are PostgreSQL's: tools find what they know.
//!
//! PostgreSQL: `ExplainNode`, `ExplainProperty` in `src/backend/commands/explain.c`.

use super::node::Estimate;
use std::fmt::Write;

/// A plan node, ready to be written.
pub struct Shown {
    /// As the text form has it.
    pub title: String,
    /// "Node Type", and what else comes before "Parent Relationship".
    pub kind: Vec<(&'static str, Value)>,
    pub header: Vec<(&'static str, Value)>,
    pub estimate: Estimate,
    /// Of ANALYZE.
    pub actual: Option<Actual>,
    pub parts: Vec<Part>,
}

/// For one loop; no loops: it never ran.
#[derive(Clone, Copy, Default)]
pub struct Actual {
    pub startup: f64,
    pub total: f64,
    pub rows: f64,
    pub loops: u64,
}

pub enum Value {
    Text(String),
    Integer(i64),
    /// With so many digits behind the point.
    Float(f64, usize),
    Bool(bool),
    List(Vec<String>),
}

impl Value {
    pub fn text(text: impl AsRef<str>) -> Value {
        Value::Text(text.as_ref().to_owned())
    }
}

pub enum Part {
    Property(&'static str, Value),
    /// In text not shown if it is 0.
    Counted(&'static str, i64),
    /// Of the structured forms only.
    Structured(&'static str, Value),
    /// Of the text form only.
    Line(String),
    /// A query within an expression, or a common table.
    Sub(Relationship, String, Box<Shown>),
    Input(Relationship, Box<Shown>),
}

impl Part {
    pub fn property(label: &'static str, value: Value) -> Part {
        Part::Property(label, value)
    }
    pub fn counted(label: &'static str, count: i64) -> Part {
        Part::Counted(label, count)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Relationship {
    Outer,
    Inner,
    Member,
    InitPlan,
    SubPlan,
}

impl Relationship {
    fn name(self) -> &'static str {
        match self {
            Relationship::Outer => "Outer",
            Relationship::Inner => "Inner",
            Relationship::Member => "Member",
            Relationship::InitPlan => "InitPlan",
            Relationship::SubPlan => "SubPlan",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    #[default]
    Text,
    Json,
    Yaml,
    Xml,
}

/// What is shown besides the plan, and of it.
#[derive(Clone, Copy)]
pub struct Frame {
    pub format: Format,
    pub costs: bool,
    pub timing: bool,
    pub analyze: bool,
    /// Milliseconds of planning and (ANALYZE) of execution, if they are wanted.
    pub planning: Option<f64>,
    pub execution: Option<f64>,
}

/// The rows of EXPLAIN's result.
pub fn write(plan: &Shown, frame: &Frame) -> Vec<String> {
    if frame.format == Format::Text {
        let mut lines = Vec::new();
        text(plan, None, frame, &mut lines);
        if let Some(planning) = frame.planning {
            lines.push(format!("Planning Time: {planning:.3} ms"));
        }
        if let Some(execution) = frame.execution {
            lines.push(format!("Execution Time: {execution:.3} ms"));
        }
        return lines;
    }
    let mut query = Group { name: "Query", fields: vec![Field::Group(node(plan, None, frame))] };
    if let Some(planning) = frame.planning {
        query.fields.push(Field::Value("Planning Time", Value::Float(planning, 3)));
    }
    if frame.analyze {
        query.fields.push(Field::Groups("Triggers", Vec::new()));
    }
    if let Some(execution) = frame.execution {
        query.fields.push(Field::Value("Execution Time", Value::Float(execution, 3)));
    }
    let mut out = String::new();
    match frame.format {
        Format::Json => {
            out.push_str("[\n  ");
            json(&query, 1, &mut out);
            out.push_str("\n]");
        }
        Format::Yaml => {
            out.push_str("- ");
            yaml(&query, 1, &mut out);
        }
        _ => {
            out.push_str("<explain xmlns=\"http://www.postgresql.org/2009/explain\">\n");
            xml(&query, 1, &mut out);
            out.push_str("</explain>");
        }
    }
    vec![out]
}

// ---- text ----

/// `arrow`: how far the `->` is indented; None at the top.
fn text(shown: &Shown, arrow: Option<usize>, frame: &Frame, lines: &mut Vec<String>) {
    let mut line = String::new();
    let body = match arrow {
        None => 2,
        Some(arrow) => {
            _ = write!(line, "{:arrow$}->  ", "");
            arrow + 6
        }
    };
    line.push_str(&shown.title);
    if frame.costs {
        let Estimate { startup, total, rows, width } = shown.estimate;
        let total = total.max(startup);
        let width = width.round() as i64;
        _ = write!(line, "  (cost={startup:.2}..{total:.2} rows={rows:.0} width={width})");
    }
    if let Some(Actual { startup, total, rows, loops }) = shown.actual {
        match loops {
            0 => line.push_str(" (never executed)"),
            _ if frame.timing => {
                _ = write!(line, " (actual time={startup:.3}..{total:.3} rows={rows:.0} loops={loops})");
            }
            _ => _ = write!(line, " (actual rows={rows:.0} loops={loops})"),
        }
    }
    lines.push(line);
    for part in &shown.parts {
        match part {
            Part::Property(label, value) => lines.push(format!("{:body$}{label}: {}", "", plain(value))),
            Part::Counted(label, count) if *count != 0 => lines.push(format!("{:body$}{label}: {count}", "")),
            Part::Counted(..) | Part::Structured(..) => {}
            Part::Line(line) => lines.push(format!("{:body$}{line}", "")),
            Part::Sub(_, label, query) => {
                lines.push(format!("{:body$}{label}", ""));
                text(query, Some(body + 2), frame, lines);
            }
            Part::Input(_, input) => text(input, Some(body), frame, lines),
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number, digits) => format!("{number:.digits$}"),
        Value::Bool(value) => value.to_string(),
        Value::List(list) => list.join(", "),
    }
}

// ---- structured ----

struct Group {
    name: &'static str,
    fields: Vec<Field>,
}

enum Field {
    Value(&'static str, Value),
    Group(Group),
    Groups(&'static str, Vec<Group>),
}

fn node(shown: &Shown, parent: Option<(Relationship, Option<&str>)>, frame: &Frame) -> Group {
    let mut fields: Vec<Field> = Vec::new();
    let mut field = |label, value| fields.push(Field::Value(label, value));
    let copy = |value: &Value| match value {
        Value::Text(text) => Value::Text(text.clone()),
        Value::Integer(number) => Value::Integer(*number),
        Value::Float(number, digits) => Value::Float(*number, *digits),
        Value::Bool(value) => Value::Bool(*value),
        Value::List(list) => Value::List(list.clone()),
    };
    shown.kind.iter().for_each(|(label, value)| field(label, copy(value)));
    if let Some((relationship, name)) = parent {
        field("Parent Relationship", Value::text(relationship.name()));
        if let Some(name) = name {
            field("Subplan Name", Value::text(name));
        }
    }
    field("Parallel Aware", Value::Bool(false));
    field("Async Capable", Value::Bool(false));
    shown.header.iter().for_each(|(label, value)| field(label, copy(value)));
    if frame.costs {
        let Estimate { startup, total, rows, width } = shown.estimate;
        field("Startup Cost", Value::Float(startup, 2));
        field("Total Cost", Value::Float(total.max(startup), 2));
        field("Plan Rows", Value::Float(rows, 0));
        // Of no columns it is minus zero.
        field("Plan Width", Value::Integer(width.round() as i64));
    }
    if let Some(actual) = shown.actual {
        if frame.timing {
            field("Actual Startup Time", Value::Float(actual.startup, 3));
            field("Actual Total Time", Value::Float(actual.total, 3));
        }
        field("Actual Rows", Value::Float(actual.rows, 0));
        field("Actual Loops", Value::Integer(actual.loops as i64));
    }
    let mut plans = Vec::new();
    for part in &shown.parts {
        match part {
            Part::Property(label, value) | Part::Structured(label, value) => field(label, copy(value)),
            Part::Counted(label, count) => field(label, Value::Integer(*count)),
            Part::Line(_) => {}
            Part::Sub(relationship, label, query) => {
                plans.push(node(query, Some((*relationship, Some(label))), frame));
            }
            Part::Input(relationship, input) => plans.push(node(input, Some((*relationship, None)), frame)),
        }
    }
    if !plans.is_empty() {
        fields.push(Field::Groups("Plans", plans));
    }
    Group { name: "Plan", fields }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 => _ = write!(out, "\\u{:04x}", c as u32),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn json(group: &Group, indent: usize, out: &mut String) {
    let inner = (indent + 1) * 2;
    out.push('{');
    for (at, field) in group.fields.iter().enumerate() {
        out.push_str(if at > 0 { ",\n" } else { "\n" });
        match field {
            Field::Value(label, value) => {
                let value = match value {
                    Value::Text(text) => quoted(text),
                    Value::List(list) => {
                        let list: Vec<String> = list.iter().map(|text| quoted(text)).collect();
                        format!("[{}]", list.join(", "))
                    }
                    value => plain(value),
                };
                _ = write!(out, "{:inner$}{}: {value}", "", quoted(label));
            }
            Field::Group(group) => {
                _ = write!(out, "{:inner$}{}: ", "", quoted(group.name));
                json(group, indent + 1, out);
            }
            Field::Groups(label, groups) => {
                _ = write!(out, "{:inner$}{}: [", "", quoted(label));
                for (at, group) in groups.iter().enumerate() {
                    _ = write!(out, "{}\n{:2$}", if at > 0 { "," } else { "" }, "", inner + 2);
                    json(group, indent + 2, out);
                }
                _ = write!(out, "\n{:inner$}]", "");
            }
        }
    }
    _ = write!(out, "\n{:1$}}}", "", indent * 2);
}

fn yaml(group: &Group, indent: usize, out: &mut String) {
    for (at, field) in group.fields.iter().enumerate() {
        if at > 0 {
            _ = write!(out, "\n{:1$}", "", indent * 2);
        }
        match field {
            Field::Value(label, Value::Text(text)) => _ = write!(out, "{label}: {}", quoted(text)),
            Field::Value(label, Value::List(list)) => {
                _ = write!(out, "{label}: ");
                for text in list {
                    _ = write!(out, "\n{:2$}- {}", "", quoted(text), indent * 2 + 2);
                }
            }
            Field::Value(label, value) => _ = write!(out, "{label}: {}", plain(value)),
            Field::Group(group) => {
                _ = write!(out, "{}: \n{:2$}", group.name, "", indent * 2 + 2);
                yaml(group, indent + 1, out);
            }
            Field::Groups(label, groups) => {
                _ = write!(out, "{label}: ");
                for group in groups {
                    _ = write!(out, "\n{:1$}- ", "", indent * 2 + 2);
                    yaml(group, indent + 2, out);
                }
            }
        }
    }
}

fn xml(group: &Group, indent: usize, out: &mut String) {
    let tag = |label: &str| label.replace(' ', "-");
    let escaped = |text: &str| {
        text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\r', "&#x0d;")
    };
    let (outer, inner) = (indent * 2, indent * 2 + 2);
    _ = writeln!(out, "{:outer$}<{}>", "", tag(group.name));
    for field in &group.fields {
        match field {
            Field::Value(label, Value::List(list)) => {
                let label = tag(label);
                _ = writeln!(out, "{:inner$}<{label}>", "");
                for text in list {
                    _ = writeln!(out, "{:2$}<Item>{}</Item>", "", escaped(text), inner + 2);
                }
                _ = writeln!(out, "{:inner$}</{label}>", "");
            }
            Field::Value(label, value) => {
                let label = tag(label);
                _ = writeln!(out, "{:inner$}<{label}>{}</{label}>", "", escaped(&plain(value)));
            }
            Field::Group(group) => xml(group, indent + 1, out),
            Field::Groups(label, groups) => {
                let label = tag(label);
                _ = writeln!(out, "{:inner$}<{label}>", "");
                groups.iter().for_each(|group| xml(group, indent + 2, out));
                _ = writeln!(out, "{:inner$}</{label}>", "");
            }
        }
    }
    _ = writeln!(out, "{:outer$}</{}>", "", tag(group.name));
}
