//! The page of the admin listener, in a browser, while handlers misbehave; and its events, for many who watch.
//!
//! `WHARF_SCREENSHOT=FOLDER tests/run live` also writes what the browser shows into that folder: `live.png` and `live-dark.png` are the picture of
//! README.md, in `examples/observability`; `live-phone.png` is for whoever changes the page.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Request, header};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use support::{
    browser::Browser,
    client::{Answer, Client, Reply, RequestBody, bytes},
    host::{Host, Setup},
    servers::{Engine, ServerDatabase},
};
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};

use crate::tree;

const PATIENCE: Duration = Duration::from_secs(60);
const TOKEN: &str = "a-token-of-the-test";
/// What a handler may name a column.
const HOSTILE: &str = "<img src=x onerror=document.title='mine'>";
const DESKTOP: u64 = 1280;
const PHONE: u64 = 390;

/// A host with a database of two connections, one plugin that is slow, and two that leak.
async fn start(database: &ServerDatabase, admin: &str) -> Host {
    let grant = "limits = { deadline = \"10m\" }\ndatabases.main = { access = \"read-write\" }";
    let settings = "max_connections = 2\nacquire_timeout = \"10m\"\nstatement_timeout = \"10m\"";
    Setup::new()
        .server(&format!("admin = \"{admin}\""))
        .toml(&format!("[admin]\ntoken = \"{TOKEN}\""))
        .database("main", &database.url(), settings)
        .plugin("patients", "probe", grant)
        .plugin("imports", "leaks", grant)
        .plugin("reports", "traps", grant)
        .start()
        .await
}

/// Begins a call that runs a statement of ten minutes.
fn slow(host: &Host) -> JoinHandle<Reply> {
    let client = host.client().patience(PATIENCE * 10);
    let steps = json!([{ "do": "query", "sql": format!("SELECT pg_sleep(600), 'a value' AS \"{HOSTILE}\"") }]);
    tokio::spawn(async move { client.post("/patients/run", &steps).await })
}

/// Ends all calls that run; those that wait first, so that none goes on with what another gave back.
async fn cancel_all(admin: &Client) {
    let mut calls = admin.get("/calls").await.json()["calls"].as_array().cloned().unwrap();
    calls.sort_by_key(|call| call["waits_for"] == json!([]));
    for call in calls {
        let request = Request::post(format!("/calls/{}/cancel", call["id"]));
        let request = request.header(header::AUTHORIZATION, format!("Bearer {TOKEN}")).body(bytes("")).unwrap();
        assert_eq!(admin.open(request).await.unwrap().status, 200, "{call}");
    }
}

/// An expression of the page's: `count` rows of a table have all these texts, among others.
fn rows(table: &str, parts: &[&str], count: usize) -> String {
    let parts = json!(parts);
    format!(
        "[...document.querySelectorAll('#{table} tbody tr')]\
         .filter((row) => {parts}.every((part) => row.textContent.includes(part))).length === {count}"
    )
}

/// Another: something is shown as this text.
fn says(selector: &str, text: &str) -> String {
    format!("document.querySelector({}).textContent === {}", json!(selector), json!(text))
}

/// Another: so many hundredths of the bar are filled by leases.
fn leased(percent: u32) -> String {
    format!("document.querySelector('#pools .bar .leased').style.width === '{percent}%'")
}

const IS_LIVE: &str = "document.querySelector('#status').className === 'live' && !document.body.className";
const IS_LOST: &str =
    "document.querySelector('#status').textContent.startsWith('disconnected') && document.body.className === 'stale'";

/// The contrast of what is read with what it stands on, and how bright that is: `[[selector, contrast, brightness], …]`.
const CONTRASTS: &str = "(() => {
    const numbers = (color) => color.match(/[0-9.]+/g).map(Number);
    const linear = (part) => (part /= 255) <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    const bright = (color) => { const [r, g, b] = numbers(color).map(linear); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const ground = (node) => { const it = getComputedStyle(node).backgroundColor; return numbers(it)[3] === 0 ? ground(node.parentNode) : it; };
    const read = ['h1', 'header .muted', '#status', '.tiles small', '#unconfirmed b', '.state', '.waits', '#reclaims td', '#reclaims th'];
    return read.map((selector) => {
        const node = document.querySelector(selector), [text, below] = [getComputedStyle(node).color, ground(node)].map(bright);
        return [selector, (Math.max(text, below) + 0.05) / (Math.min(text, below) + 0.05), below];
    });
})()";

/// Everything can be read in light and in dark, and on a phone without going sideways.
async fn can_be_read(browser: &Browser) {
    for is_dark in [true, false] {
        browser.set_dark(is_dark).await;
        browser.until(&format!("matchMedia('(prefers-color-scheme: dark)').matches === {is_dark}")).await;
        let contrasts = browser.evaluate(CONTRASTS).await;
        for row in contrasts.as_array().unwrap() {
            let (contrast, brightness) = (row[1].as_f64().unwrap(), row[2].as_f64().unwrap());
            assert!(contrast >= 4.5 && (brightness < 0.2) == is_dark, "dark: {is_dark}, {row}");
        }
    }
    for (width, is_phone) in [(PHONE, true), (DESKTOP, false)] {
        browser.set_size(width, 844, is_phone).await;
        let is_list = "(getComputedStyle(document.querySelector('#reclaims thead')).display === 'none')";
        browser.until(&format!("document.documentElement.scrollWidth === {width} && {is_list} === {is_phone}")).await;
    }
}

/// Writes what the browser shows, whole, where somebody wants it.
async fn pictures(browser: &Browser) {
    let Some(folder) = std::env::var_os("WHARF_SCREENSHOT").map(PathBuf::from) else { return };
    // One that is not absolute is meant from the root.
    let folder = tree::root().join(folder);
    for (name, width, is_dark) in [("live", DESKTOP, false), ("live-dark", DESKTOP, true), ("live-phone", PHONE, false)] {
        browser.set_dark(is_dark).await;
        browser.set_size(width, 844, width == PHONE).await;
        let height = browser.evaluate("document.documentElement.scrollHeight").await;
        browser.set_size(width, height.as_u64().unwrap(), width == PHONE).await;
        browser.until(&format!("innerHeight === {height}")).await;
        browser.picture(&folder.join(format!("{name}.png"))).await;
    }
    browser.set_dark(false).await;
    browser.set_size(DESKTOP, 844, false).await;
}

#[tokio::test]
async fn a_hostile_handler_is_seen_to_lose_what_it_holds() {
    let database = ServerDatabase::create(Engine::Postgres).await;
    database.execute("CREATE TABLE notes (id bigserial PRIMARY KEY, note text NOT NULL)").await;
    let host = start(&database, "127.0.0.1:0").await;
    let (admin, address) = (host.admin().await, host.admin_address().await);
    let browser = Browser::start().await;
    browser.go(&format!("http://{address}/")).await;
    browser.until(IS_LIVE).await;
    browser.until(&format!("{} && {}", says("#waiting small:last-child", "nobody waits"), rows("calls", &[], 0))).await;

    // What is leaked is taken back, and the page says from whom, why and how.
    for _ in 0..3 {
        assert_eq!(host.client().get("/imports/transaction").await.text(), "leaked");
        assert_eq!(host.client().get("/reports/traps").await.problem().1, "handler-trapped");
    }
    for (plugin, why) in [("imports", "returned"), ("reports", "trapped")] {
        browser.until(&rows("reclaims", &["main", plugin, why, "rolled-back"], 3)).await;
        browser.until(&rows("reasons", &["main", why, "rolled-back", "3"], 1)).await;
    }
    browser.until(&says("#reclaimed b", "6")).await;

    // Who holds all there is, what for, and who waits.
    let calls = [slow(&host), slow(&host), slow(&host)];
    browser.until(&rows("calls", &["patients", "main", "query: SELECT pg_sleep (?), ? AS", HOSTILE], 2)).await;
    browser.until(&rows("calls", &["patients", "waiting for a connection", "main"], 1)).await;
    let share = "[...document.querySelectorAll('.share')].some((it) => /^patients2\\/[0-9]+, 1 waiting$/.test(it.textContent))";
    browser.until(&format!("{} && {share}", leased(100))).await;
    browser.until(&format!("{} && {}", says("#waiting b", "1"), says("#running b", "3"))).await;
    assert_eq!(browser.evaluate("[document.title, document.images.length]").await, json!(["Wharf", 0]));
    assert_eq!(browser.evaluate("document.body.textContent.includes('a value')").await, json!(false));
    can_be_read(&browser).await;
    pictures(&browser).await;

    // The operator ends them: the row is marked as new, and nothing is held any more.
    let news = format!(
        "document.querySelector('#reclaims tr.new') && {}",
        rows("reclaims", &["patients", "cancelled-by-operator", "cancelled"], 2)
    );
    tokio::join!(cancel_all(&admin), browser.until(&news));
    for call in calls {
        assert_eq!(call.await.unwrap().problem(), (503, "cancelled-by-operator".to_owned()));
    }
    browser.until(&format!("{} && {}", leased(0), rows("calls", &[], 0))).await;
    browser.until(&format!("{} && {}", says("#unconfirmed b", "0"), says("#waiting b", "0"))).await;

    // It stops in spite of who watches, and the page says that it is gone, and comes back with it.
    assert_eq!(host.stop().await.code, Some(0));
    browser.until(IS_LOST).await;
    let host = start(&database, &address.to_string()).await;
    browser.until(&format!("{IS_LIVE} && {}", rows("reclaims", &[], 0))).await;
    assert_eq!(host.stop().await.code, Some(0));

    is_unlocked_by_its_token(&browser).await;
    browser.close().await;
}

/// Where views are closed the page takes the token, and keeps it for as long as its window is there.
async fn is_unlocked_by_its_token(browser: &Browser) {
    let settings = format!("[admin]\ntoken = \"{TOKEN}\"\nopen_views = false");
    let host = Setup::new().toml(&settings).plugin("probe", "probe", "").start().await;
    let url = format!("http://{}/", host.admin_address().await);
    let is_asked = "!document.querySelector('#ask').hidden";
    let type_in = |token: &str| {
        format!("document.querySelector('#token').value = '{token}', document.querySelector('#ask').requestSubmit()")
    };
    browser.go(&url).await;
    browser.until(is_asked).await;
    browser.evaluate(&type_in("token\u{2026}")).await;
    browser.until(&format!("{is_asked} && {}", says("#wrong", "No token has such characters."))).await;
    browser.evaluate(&type_in("another-token")).await;
    browser.until(&format!("{is_asked} && {}", says("#wrong", "The host does not take this token."))).await;
    browser.evaluate(&type_in(TOKEN)).await;
    browser.until(&format!("{IS_LIVE} && {} && !({is_asked})", says("#active", "0/50"))).await;
    browser.go(&url).await;
    browser.until(&format!("{IS_LIVE} && {}", says("#active", "0/50"))).await;
    assert_eq!(host.stop().await.code, Some(0));
}

/// Asks for the events.
async fn watch(admin: &Client) -> Answer {
    admin.open(Request::get("/live/events").body(bytes("")).unwrap()).await.unwrap()
}

/// The next event of a viewer.
async fn next(viewer: &mut Answer) -> Json {
    let mut text = String::new();
    while !text.ends_with("\n\n") {
        let chunk = viewer.chunk().await.unwrap().expect("one more event");
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    let event = text.trim_end().rsplit("\n\n").next().unwrap();
    serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap()
}

/// A viewer that takes a few bytes and no more.
async fn stalled(address: SocketAddr) -> (http2::SendRequest<RequestBody>, http::Response<hyper::body::Incoming>) {
    let socket = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let mut builder = http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = builder.initial_stream_window_size(16).handshake::<_, RequestBody>(socket).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get(format!("http://{address}/live/events")).body(bytes("")).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    (sender, answer)
}

#[tokio::test]
async fn of_twenty_who_want_to_watch_sixteen_do_and_one_who_never_reads_holds_up_nobody() {
    let host = Setup::new().plugin("probe", "probe", "").start().await;
    let (admin, address) = (host.admin().await, host.admin_address().await);
    let never_reads = stalled(address).await;
    let mut viewers = Vec::new();
    for _ in 0..15 {
        let viewer = watch(&admin).await;
        assert_eq!(viewer.status, 200);
        assert_eq!(viewer.headers[header::CONTENT_TYPE], "text/event-stream");
        viewers.push(viewer);
    }
    for _ in 0..4 {
        assert_eq!(watch(&admin).await.whole().await.unwrap().problem(), (503, "overloaded".to_owned()));
    }
    for viewer in &mut viewers {
        let (one, other) = (next(viewer).await, next(viewer).await);
        assert!(one["at"].as_str() < other["at"].as_str() && other["ready"] == json!(true), "{one} {other}");
    }
    // Whoever leaves makes room, and who takes nothing for ten seconds is made to leave.
    drop(viewers.pop());
    for _ in 0..2 {
        let makes_room = async {
            loop {
                next(&mut viewers[0]).await;
                let viewer = watch(&admin).await;
                if viewer.status == 200 {
                    return viewer;
                }
            }
        };
        let viewer = timeout(PATIENCE, makes_room).await.unwrap();
        viewers.push(viewer);
    }
    drop(never_reads);
    // The end of the host is a proper end of what they are shown, be that no event more.
    let mut last = viewers.pop().unwrap();
    next(&mut last).await;
    let (ended, shown) = tokio::join!(host.stop(), last.whole());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let shown = shown.unwrap();
    assert!(shown.text().is_empty() || shown.text().ends_with("\n\n"), "{}", shown.text());
}

#[tokio::test]
async fn the_page_has_no_data_and_may_run_its_own_script_alone() {
    let settings = format!("[admin]\ntoken = \"{TOKEN}\"\nopen_views = false");
    let host = Setup::new().toml(&settings).plugin("probe", "probe", "").start().await;
    let admin = host.admin().await;
    let page = admin.get("/").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
    let hash = |tag: &str| {
        let (_, rest) = page.text().split_once(&format!("<{tag}>")).unwrap();
        let (inside, _) = rest.split_once(&format!("</{tag}>")).unwrap();
        STANDARD.encode(Sha256::digest(inside))
    };
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; frame-ancestors 'none'; \
         base-uri 'none'; form-action 'none'",
        hash("script"),
        hash("style")
    );
    assert_eq!(page.headers[header::CONTENT_SECURITY_POLICY], policy);
    assert!(!page.text().contains("probe"));
    let right = format!("Bearer {TOKEN}");
    for (authorization, status) in [("", 401), ("Bearer another-token", 401), (&*right, 200)] {
        let mut request = Request::get("/live/events");
        if !authorization.is_empty() {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        assert_eq!(admin.open(request.body(bytes("")).unwrap()).await.unwrap().status, status, "{authorization}");
    }
    assert_eq!(host.stop().await.code, Some(0));
}
