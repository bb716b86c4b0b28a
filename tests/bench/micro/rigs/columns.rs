//! Columns of every type, lowered into a component's memory and lifted out of it, without a query around it.

use wasmtime::{
    Config, Engine, Store,
    component::{Component, Linker, TypedFunc},
};
use wharf::driver::{
    columns::{ArraysBuilder, mixed},
    types::{Cells, Column, ColumnData, Interval, OtherCells, Packed, Uuid, Value},
};

use crate::told;

/// Values of each column.
pub const VALUES: usize = 1_000;

/// Keeps the columns that it takes until it gives them.
const COLUMNS: &str = include_str!("columns.wat");

/// An instance that takes and gives columns.
#[allow(missing_debug_implementations, reason = "a Store has none")]
pub struct Columns {
    store: Store<()>,
    take: TypedFunc<(Vec<Column>,), ()>,
    give: TypedFunc<(), (Vec<Column>,)>,
}

impl Columns {
    /// Compiles and instantiates.
    ///
    /// # Errors
    /// When the component is not what the host expects.
    pub fn new() -> anyhow::Result<Self> {
        let mut config = Config::new();
        config.wasm_component_model(true);
        let engine = Engine::new(&config).map_err(told)?;
        let component = Component::new(&engine, wat::parse_str(COLUMNS)?).map_err(told)?;
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        // Types alone, so there is nothing to link but the interface.
        linker.instance("wharf:sql/types@0.1.0").map_err(told)?;
        let instance = linker.instantiate(&mut store, &component).map_err(told)?;
        let take = instance.get_typed_func(&mut store, "take").map_err(told)?;
        let give = instance.get_typed_func(&mut store, "give").map_err(told)?;
        Ok(Self { store, take, give })
    }

    /// Lowers: the host's columns become the guest's.
    ///
    /// # Errors
    /// When the guest traps.
    pub fn take(&mut self, columns: Vec<Column>) -> anyhow::Result<()> {
        self.take.call(&mut self.store, (columns,)).map_err(told)
    }

    /// Lifts: what the guest was given last becomes the host's.
    ///
    /// # Errors
    /// When the guest traps.
    pub fn give(&mut self) -> anyhow::Result<Vec<Column>> {
        Ok(self.give.call(&mut self.store, ()).map_err(told)?.0)
    }
}

/// One column of each type, by the name of its case in `wharf:sql`. No cell is null.
#[must_use]
pub fn every_type() -> Vec<(&'static str, Column)> {
    let cells = [
        ("boolean", Cells::Boolean(numbers(|number| number % 2 == 0))),
        ("signed", Cells::Signed(numbers(|number| i64::from(number) << 20))),
        ("unsigned", Cells::Unsigned(numbers(|number| u64::from(number) << 20))),
        ("float32", Cells::Float32(numbers(|number| number as f32 / 7.0))),
        ("float64", Cells::Float64(numbers(|number| f64::from(number) / 7.0))),
        ("decimal", Cells::Decimal(texts(|number| format!("{number}.25")))),
        ("text", Cells::Text(texts(|number| format!("patient number {number}")))),
        ("bytes", Cells::Bytes(texts(|number| format!("{number:032}")))),
        ("date", Cells::Date(numbers(|number| i32::from(number) + 10_000))),
        ("time", Cells::Time(numbers(|number| u64::from(number) * 1_000_000))),
        ("timestamp", Cells::Timestamp(numbers(|number| i64::from(number) << 30))),
        ("timestamp-tz", Cells::TimestampTz(numbers(|number| i64::from(number) << 30))),
        ("interval", Cells::Interval(numbers(|number| Interval { months: 1, days: i32::from(number), microseconds: 5 }))),
        ("uuid", Cells::Uuid(numbers(|number| Uuid { high: u64::from(number) << 32, low: number.into() }))),
        ("json", Cells::Json(texts(|number| format!(r#"{{"number":{number}}}"#)))),
        ("network", Cells::Network(texts(|number| format!("10.0.{}.{}", number / 250, number % 250)))),
        ("other", Cells::Other(OtherCells { type_name: "point".to_owned(), cells: texts(|number| format!("({number},1)")) })),
    ];
    let cells = cells.map(|(name, cells)| (name, Column { data: ColumnData::Cells(cells), nulls: Vec::new() }));
    let mut arrays = ArraysBuilder::new(Cells::Signed(Vec::new()));
    for number in 0..VALUES {
        if let Cells::Signed(elements) = &mut arrays.elements.cells {
            elements.extend([number as i64; 3]);
        }
        arrays.end_array();
    }
    let values = numbers(|number| match number % 2 {
        0 => Value::Signed(number.into()),
        _ => Value::Text(format!("patient number {number}")),
    });
    cells.into_iter().chain([("arrays", arrays.finish()), ("mixed", mixed(values))]).collect()
}

fn numbers<T>(value: impl Fn(u16) -> T) -> Vec<T> {
    (0..VALUES as u16).map(value).collect()
}

fn texts(value: impl Fn(u16) -> String) -> Packed {
    let mut cells = Packed::empty();
    for number in 0..VALUES as u16 {
        cells.push(value(number).as_bytes());
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_comes_back_as_it_went() {
        let mut columns = Columns::new().unwrap();
        for (name, column) in every_type() {
            columns.take(vec![column.clone()]).unwrap();
            assert_eq!(columns.give().unwrap(), [column], "{name}");
        }
    }
}
