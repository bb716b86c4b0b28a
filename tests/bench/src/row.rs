//! A row of the result, as it is written to `latest.json`.

use serde::Serialize;

use crate::{
    case::{Case, Figure, Latencies, Measured, Pair, Target, Values},
    machine::Machine,
    statistics::{least, median, most},
};

/// Above this others may decide a 99th percentile: it is near the share of calls that they held up, and one in a hundred is enough. Half
/// of that, since a case was measured that they decided with 0.97.
const DISTURBING_PERCENT: f64 = 0.5;

/// What came of one figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) unit: &'static str,
    /// Medians over the pairs; both are missing when the measurement failed, the reference also when there is none, and Wharf's where others
    /// were measured alone.
    pub(crate) wharf: Option<f64>,
    pub(crate) reference: Option<f64>,
    /// Wharf by reference, of each pair.
    pub(crate) ratio_median: Option<f64>,
    pub(crate) ratio_min: Option<f64>,
    pub(crate) ratio_max: Option<f64>,
    pub(crate) target: Option<Target>,
    /// Whether the target is met; `None` without one, and when the figures are good for nothing.
    pub(crate) met: Option<bool>,
    #[serde(flatten)]
    pub(crate) latencies: Latencies,
    pub(crate) pairs: usize,
    /// How often all of it was measured; what counts is the time in which others on the same hardware were given least.
    pub(crate) times: usize,
    /// Whether the figures are good for more than to see that the case works.
    pub(crate) comparable: bool,
    pub(crate) machine: Machine,
    pub(crate) note: String,
    /// Why there are no figures.
    pub(crate) failed: Option<String>,
}

impl Row {
    /// Of what was measured.
    pub(crate) fn new(case: &Case, figure: &Figure, measured: &Measured, machine: &Machine, comparable: bool) -> Self {
        let empty = Self::empty(case, figure, machine, comparable);
        let notes = [case.note, &measured.note];
        let note = notes.into_iter().filter(|note| !note.is_empty()).collect::<Vec<_>>().join("; ");
        let row = match &measured.values {
            Values::Alone(value) => Self { wharf: Some(*value), ..empty },
            Values::Others(value) => Self { reference: Some(*value), ..empty },
            Values::Pairs(pairs) => {
                let each = |value: fn(&Pair) -> f64| pairs.iter().map(value).collect::<Vec<_>>();
                let ratios = each(|pair| pair.ratio());
                Self {
                    wharf: median(&each(|pair| pair.wharf)),
                    reference: median(&each(|pair| pair.reference)),
                    ratio_median: median(&ratios),
                    ratio_min: least(&ratios),
                    ratio_max: most(&ratios),
                    pairs: pairs.len(),
                    ..empty
                }
            }
        };
        let judged = row.ratio_median.or(row.wharf);
        let met = figure.target.filter(|_| comparable).map(|target| judged.is_some_and(|value| target.is_met(value)));
        Self { met, note, latencies: measured.latencies.unwrap_or_default(), ..row }
    }

    /// Of what could not be measured.
    pub(crate) fn failed(case: &Case, figure: &Figure, why: &str, machine: &Machine, comparable: bool) -> Self {
        let empty = Self::empty(case, figure, machine, comparable);
        Self {
            failed: Some(why.to_owned()),
            met: figure.target.filter(|_| comparable).map(|_| false),
            note: case.note.to_owned(),
            ..empty
        }
    }

    /// What others on the same hardware were given, if that is enough to decide what a case came to that is delicate.
    pub(crate) fn disturbed(&self, case: &Case) -> Option<f64> {
        let counts = case.is_delicate && self.comparable && self.failed.is_none();
        self.machine.stolen_percent.filter(|stolen| counts && *stolen > DISTURBING_PERCENT)
    }

    fn empty(case: &Case, figure: &Figure, machine: &Machine, comparable: bool) -> Self {
        Self {
            case: case.row(figure),
            unit: figure.unit,
            wharf: None,
            reference: None,
            ratio_median: None,
            ratio_min: None,
            ratio_max: None,
            target: figure.target,
            met: None,
            latencies: Latencies::default(),
            pairs: 0,
            times: 1,
            comparable,
            machine: machine.clone(),
            note: String::new(),
            failed: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use serde_json::json;

    use super::*;

    fn case(figure: Figure) -> Case {
        Case::new("row/1", vec![figure], |_| async { Ok(Vec::new()) }.boxed())
    }

    fn pair(wharf: f64, reference: f64) -> Pair {
        Pair { wharf, reference }
    }

    #[test]
    fn pairs_become_medians_and_ratios() {
        let figure = Figure::main("requests/s", Some(Target::AtLeast(0.75)));
        let latencies = Latencies { wharf_p99_ms: Some(1.5), ..Latencies::default() };
        let measured = Measured::pairs(vec![pair(8.0, 10.0), pair(6.0, 12.0), pair(9.0, 10.0)]).latencies(latencies).note("here");
        let row = Row::new(&case(figure).note("this"), &figure, &measured, &Machine::default(), true);
        assert_eq!(
            serde_json::to_value(row).unwrap(),
            json!({
                "case": "row/1", "unit": "requests/s", "wharf": 8.0, "reference": 10.0,
                "ratio_median": 0.8, "ratio_min": 0.5, "ratio_max": 0.9, "target": {"at_least": 0.75}, "met": true,
                "wharf_p50_ms": null, "wharf_p99_ms": 1.5, "reference_p50_ms": null, "reference_p99_ms": null,
                "wharf_cpu_us": null, "reference_cpu_us": null, "wharf_client_cpus": null, "reference_client_cpus": null,
                "pairs": 3, "times": 1, "comparable": true, "machine": serde_json::to_value(Machine::default()).unwrap(), "note": "this; here", "failed": null,
            })
        );
    }

    #[test]
    fn without_a_reference_the_figure_itself_is_judged() {
        let figure = Figure::named("p99", "ms", Some(Target::AtMost(5.0)));
        let row = Row::new(&case(figure), &figure, &Measured::alone(6.0), &Machine::default(), true);
        assert_eq!((row.case.as_str(), row.wharf, row.reference, row.ratio_median), ("row/1/p99", Some(6.0), None, None));
        assert_eq!((row.met, row.comparable), (Some(false), true));
        assert_eq!(Row::new(&case(figure), &figure, &Measured::alone(6.0), &Machine::default(), false).met, None);
    }

    #[test]
    fn what_others_do_is_no_figure_of_wharfs() {
        let figure = Figure::named("find-one", "operations/s", None);
        let row = Row::new(&case(figure), &figure, &Measured::others(6.0), &Machine::default(), true);
        assert_eq!((row.wharf, row.reference, row.ratio_median, row.met), (None, Some(6.0), None, None));
    }

    #[test]
    fn without_a_target_nothing_is_met_or_missed() {
        let figure = Figure::main("ms", None);
        assert_eq!(Row::new(&case(figure), &figure, &Measured::alone(6.0), &Machine::default(), true).met, None);
    }

    #[test]
    fn what_others_decide_is_measured_again_if_it_is_delicate() {
        let figure = Figure::main("ms", Some(Target::AtMost(5.0)));
        let disturbed = |case: &Case, stolen_percent, comparable| {
            let mut row = Row::new(case, &figure, &Measured::alone(6.0), &Machine::default(), comparable);
            row.machine.stolen_percent = stolen_percent;
            row.disturbed(case)
        };
        let delicate = case(figure).delicate();
        assert_eq!(disturbed(&delicate, Some(0.6), true), Some(0.6));
        for (case, stolen, comparable) in [
            (&case(figure), Some(0.6), true),
            (&delicate, Some(0.6), false),
            (&delicate, Some(0.5), true),
            (&delicate, None, true),
        ] {
            assert_eq!(disturbed(case, stolen, comparable), None, "{stolen:?} {comparable}");
        }
    }

    #[test]
    fn what_failed_has_no_figures_and_meets_nothing() {
        let figure = Figure::main("requests/s", Some(Target::AtLeast(0.0)));
        let row = Row::failed(&case(figure), &figure, "503", &Machine::default(), true);
        assert_eq!((row.wharf, row.met, row.failed.as_deref()), (None, Some(false), Some("503")));
        let row = Row::new(&case(figure), &figure, &Measured::pairs(Vec::new()), &Machine::default(), true);
        assert_eq!(row.met, Some(false));
    }
}
