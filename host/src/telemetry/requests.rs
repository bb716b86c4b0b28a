//! HTTP requests as metrics, under OpenTelemetry's names: how long they took, by route, method, status and what went wrong.
//!
//! Clients choose paths, methods and, with a handler's help, statuses. So what they choose never becomes a label: routes are those that are
//! configured, of the rest only what is well known has a name, and all combinations together are bounded.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::metrics::{Bounds, Cells, Family, Histogram, Text};

/// Those that OpenTelemetry advises.
static BOUNDS: Bounds = Bounds::micros(&[
    5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000, 1_000_000, 2_500_000, 5_000_000, 7_500_000,
    10_000_000,
]);

/// What stands for all that has no name of its own.
const OTHER: &str = "_OTHER";
const METHOD: &str = "http_request_method";
const STATUS: &str = "http_response_status_code";
const ROUTE: &str = "http_route";
const SCHEME: &str = "url_scheme";

/// The requests of one server.
#[derive(Debug)]
pub struct Requests {
    scheme: &'static str,
    active: Cells<1>,
    /// Series that may still begin.
    room: AtomicUsize,
    was_told: AtomicBool,
    routes: Mutex<Vec<Arc<Route>>>,
    /// Those that no route was found for.
    unrouted: Family<3>,
    /// Those that there was no room for.
    others: Histogram,
}

/// The requests of one route.
#[derive(Debug)]
pub struct Route {
    plugin: Arc<str>,
    path: String,
    took: Family<3>,
}

impl Route {
    /// The plugin that answers there.
    #[must_use]
    pub fn plugin(&self) -> &Arc<str> {
        &self.plugin
    }

    /// Its pattern, as it is configured.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl Requests {
    /// None yet. They come by `scheme`, and no more than `max_series` combinations are told apart; the rest counts together.
    #[must_use]
    pub fn new(scheme: &'static str, max_series: usize) -> Self {
        Self {
            scheme,
            active: Cells::default(),
            room: AtomicUsize::new(max_series),
            was_told: AtomicBool::new(false),
            routes: Mutex::default(),
            unrouted: family(),
            others: Histogram::new(&BOUNDS),
        }
    }

    /// What is counted of the route of a plugin: what it was before, if it was there. Routes that nobody holds any more are forgotten.
    pub fn route(&self, plugin: &Arc<str>, path: &str) -> Arc<Route> {
        let mut routes = self.routes();
        if let Some(known) = routes.iter().find(|it| it.plugin == *plugin && it.path == path) {
            return Arc::clone(known);
        }
        routes.retain(|it| {
            let is_held = Arc::strong_count(it) > 1;
            if !is_held {
                self.room.fetch_add(it.took.len(), Ordering::Relaxed);
            }
            is_held
        });
        let new = Arc::new(Route { plugin: Arc::clone(plugin), path: path.to_owned(), took: family() });
        routes.push(Arc::clone(&new));
        new
    }

    /// Requests that are being answered.
    #[must_use]
    pub fn active(&self) -> usize {
        usize::try_from(self.active.sum(0)).unwrap_or(usize::MAX)
    }

    /// One more is being answered.
    pub fn began(&self) {
        self.active.add(0, 1);
    }

    /// One is over.
    pub fn ended(&self) {
        self.active.subtract(0, 1);
    }

    /// Counts one that is over: its method, the status that it was answered with (0 for none), and what went wrong, if anything did.
    pub fn record(&self, route: Option<&Route>, method: &str, status: u16, error: Option<&'static str>, took: Duration) {
        let status_word = status_word(status);
        // What a handler calls an error of its own is one, too.
        let error = error.unwrap_or(if status >= 500 { status_word } else { "" });
        let family = route.map_or(&self.unrouted, |route| &route.took);
        if !family.record_within([method_word(method), status_word, error], took, || self.take_room()) {
            self.others.record(took);
        }
    }

    fn take_room(&self) -> bool {
        let taken = self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(1)).is_ok();
        if !taken && !self.was_told.swap(true, Ordering::Relaxed) {
            tracing::warn!("there are as many series of requests as `metrics.max_series` allows; others count together");
        }
        taken
    }

    /// Tells all that was counted.
    pub fn tell(&self, text: &mut Text) {
        // Told outside the lock.
        let routes = self.routes().clone();
        let help = "How long requests took, from the end of their headers to the last byte of their answers.";
        let mut took = text.histogram("http_server_request_duration_seconds", help);
        for Route { plugin, path, took: family } in routes.iter().map(|route| &**route) {
            family.tell(&mut took, &[(ROUTE, path.as_str()), ("plugin", &**plugin), (SCHEME, self.scheme)]);
        }
        self.unrouted.tell(&mut took, &[(SCHEME, self.scheme)]);
        if self.others.count() > 0 {
            took.durations(&[(ROUTE, OTHER), (SCHEME, self.scheme), (METHOD, OTHER), (STATUS, OTHER)], &self.others);
        }
        let active = self.active() as u64;
        text.gauge("http_server_active_requests", "Requests that are being answered.").number(&[(SCHEME, self.scheme)], active);
    }

    fn routes(&self) -> MutexGuard<'_, Vec<Arc<Route>>> {
        // Nothing under the lock can leave it half changed.
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Requests {
    /// Of a server whose requests nobody asks about: they all count together, and that is no news.
    fn default() -> Self {
        Self { was_told: AtomicBool::new(true), ..Self::new("http", 0) }
    }
}

fn family() -> Family<3> {
    Family::new([METHOD, STATUS, "error_type"], &BOUNDS)
}

/// The methods of HTTP, as the conventions list them.
fn method_word(method: &str) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or(OTHER)
}

/// The statuses that handlers commonly answer with; nothing for no answer.
fn status_word(status: u16) -> &'static str {
    macro_rules! word {
        ($($known:literal)+) => {
            match status {
                0 => "",
                $($known => stringify!($known),)+
                _ => OTHER,
            }
        };
    }
    word!(200 201 202 203 204 206 301 302 303 304 307 308 400 401 403 404 405 406 408 409 410 412 413 414 415 416 421 422 428 429 431 500 501
        502 503 504)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    fn told(requests: &Requests) -> String {
        let mut text = Text::new();
        requests.tell(&mut text);
        text.finish()
    }

    /// The labels of all series, by their counts.
    fn series(requests: &Requests) -> Vec<String> {
        let text = told(requests);
        text.lines()
            .filter_map(|line| line.strip_prefix("http_server_request_duration_seconds_count"))
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn a_request_is_told_by_its_route_and_what_it_came_to() {
        let requests = Requests::new("http", 100);
        let route = requests.route(&"patients".into(), "/patients/{id}");
        requests.record(Some(&route), "GET", 200, None, MOMENT);
        requests.record(Some(&route), "GET", 200, None, MOMENT);
        requests.record(Some(&route), "GET", 500, None, MOMENT);
        requests.record(Some(&route), "POST", 500, Some("handler-trapped"), MOMENT);
        requests.record(Some(&route), "POST", 0, Some("client-gone"), MOMENT);
        requests.record(None, "BREW", 418, Some("no-route"), MOMENT);
        let of_route = "http_route=\"/patients/{id}\",plugin=\"patients\",url_scheme=\"http\"";
        assert_eq!(
            series(&requests),
            [
                format!("{{{of_route},http_request_method=\"GET\",http_response_status_code=\"200\"}} 2"),
                format!("{{{of_route},http_request_method=\"GET\",http_response_status_code=\"500\",error_type=\"500\"}} 1"),
                format!(
                    "{{{of_route},http_request_method=\"POST\",http_response_status_code=\"500\",error_type=\"handler-trapped\"}} 1"
                ),
                format!("{{{of_route},http_request_method=\"POST\",error_type=\"client-gone\"}} 1"),
                "{url_scheme=\"http\",http_request_method=\"_OTHER\",http_response_status_code=\"_OTHER\",error_type=\"no-route\"} 1"
                    .to_owned(),
            ]
        );
    }

    #[test]
    fn requests_that_run_are_counted_whichever_thread_ends_them() {
        let requests = Arc::new(Requests::default());
        requests.began();
        requests.began();
        let elsewhere = Arc::clone(&requests);
        std::thread::spawn(move || elsewhere.ended()).join().unwrap();
        assert_eq!(requests.active(), 1);
        assert!(told(&requests).contains("http_server_active_requests{url_scheme=\"http\"} 1\n"));
    }

    #[test]
    fn whatever_clients_and_handlers_think_of_the_number_of_series_stays() {
        let requests = Requests::new("http", 1_000);
        let route = requests.route(&"plugin".into(), "/{*rest}");
        for number in 0..600 {
            requests.record(Some(&route), &format!("METHOD{number}"), 400 + number, None, MOMENT);
        }
        // The statuses that are known, and the two ways in which others are one.
        let few = series(&requests).len();
        assert!(few < 40, "{few}");
        let narrow = Requests::new("http", 3);
        let route = narrow.route(&"plugin".into(), "/{*rest}");
        for status in 200..600 {
            narrow.record(Some(&route), "GET", status, None, MOMENT);
        }
        let series = series(&narrow);
        assert_eq!(series.len(), 4);
        let rest =
            "{http_route=\"_OTHER\",url_scheme=\"http\",http_request_method=\"_OTHER\",http_response_status_code=\"_OTHER\"} 397";
        assert_eq!(series.last().map(String::as_str), Some(rest));
    }

    #[test]
    fn a_route_is_counted_on_until_nobody_holds_it() {
        let requests = Requests::new("http", 1);
        let (plugin, other): (Arc<str>, Arc<str>) = ("plugin".into(), "other".into());
        let route = requests.route(&plugin, "/a");
        requests.record(Some(&route), "GET", 200, None, MOMENT);
        let again = requests.route(&plugin, "/a");
        assert!(Arc::ptr_eq(&route, &again));
        assert_eq!(series(&requests).len(), 1);
        drop((route, again));
        // Its room is the next one's.
        let route = requests.route(&other, "/a");
        assert_eq!(series(&requests).len(), 0);
        requests.record(Some(&route), "GET", 200, None, MOMENT);
        assert!(series(&requests)[0].contains("plugin=\"other\""));
    }
}
