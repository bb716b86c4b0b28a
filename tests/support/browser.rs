//! Chromium without a window, driven by the `chromedriver` that comes with it.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Stdio,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Request;
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout},
    time::timeout,
};

use crate::{
    client::{Client, Reply, bytes},
    host,
};

/// Until a browser is there, and until a page shows what is waited for: a browser has a hard time beside other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a browser does by itself is of no use here.
const ARGUMENTS: [&str; 11] = [
    "--headless=new",
    // Tests may run as root, and in containers with little shared memory.
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--window-size=1280,900",
];

/// A browser with one page. Dropping it kills it.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    client: Client,
    /// Empty until there is one.
    session: String,
    /// Kept open, so that the driver can go on talking.
    _output: Lines<BufReader<ChildStdout>>,
    _profile: TempDir,
}

impl Browser {
    /// Starts one with an empty profile.
    ///
    /// # Panics
    /// When there is none; `tests/setup.sh` installs it.
    pub async fn start() -> Self {
        let profile = tempfile::Builder::new().prefix("wharf-browser-").tempdir().expect("a temporary folder");
        let mut command = host::guarded(&[], "chromedriver");
        command.arg("--port=0").env("HOME", profile.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = command.spawn().expect("chromedriver, which tests/setup.sh installs");
        let mut output = BufReader::new(driver.stdout.take().expect("piped")).lines();
        let listens = async {
            while let Some(line) = output.next_line().await.expect("lines of text") {
                if let Some((_, port)) = line.split_once("started successfully on port ") {
                    return port.trim_end_matches('.').parse::<u16>().expect("a port");
                }
            }
            panic!("chromedriver, which tests/setup.sh installs, has ended");
        };
        let port = timeout(PATIENCE, listens).await.expect("chromedriver listens");
        let client = Client::new(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).patience(PATIENCE * 2);

        let data = format!("--user-data-dir={}", profile.path().join("profile").display());
        let arguments: Vec<&str> = ARGUMENTS.into_iter().chain([data.as_str()]).collect();
        let wishes = json!({ "pageLoadStrategy": "eager", "goog:chromeOptions": { "args": arguments } });
        // It is there before it is asked for a browser: whatever becomes of that, nothing is left.
        let mut browser = Self { driver, client, session: String::new(), _output: output, _profile: profile };
        let session = value(&browser.client.post("/session", &json!({ "capabilities": { "alwaysMatch": wishes } })).await);
        session["sessionId"].as_str().expect("a session").clone_into(&mut browser.session);
        browser
    }

    /// Goes to a page.
    ///
    /// # Panics
    /// When it cannot be had.
    pub async fn go(&self, url: &str) {
        self.post("url", &json!({ "url": url })).await;
    }

    /// What a JavaScript expression comes to in the page, whose own policy does not bind it. A promise is waited for.
    ///
    /// # Panics
    /// When it throws, or has a value that JSON has not.
    pub async fn evaluate(&self, expression: &str) -> Json {
        let wishes = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut came = self.protocol("Runtime.evaluate", &wishes).await;
        assert!(came.get("exceptionDetails").is_none(), "{expression}: {came}");
        came["result"]["value"].take()
    }

    /// Waits until an expression holds in the page.
    ///
    /// # Panics
    /// When it does not within a minute, with all that the page shows.
    pub async fn until(&self, expression: &str) {
        let bound = PATIENCE.as_millis();
        // The page looks by itself: asking it again and again would take the processors from it.
        let waiting = format!(
            "new Promise((done) => {{
                const end = Date.now() + {bound};
                const holds = () => {{ try {{ return Boolean({expression}); }} catch {{ return false; }} }};
                const look = () => holds() ? done(null) : Date.now() > end ? done(document.body.innerText) : setTimeout(look, 50);
                look();
            }})"
        );
        let shown = self.evaluate(&waiting).await;
        assert!(shown.is_null(), "waited {PATIENCE:?} for {expression}; the page shows:\n{}", shown.as_str().unwrap_or_default());
    }

    /// What people see who prefer it dark, or light.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn set_dark(&self, is_dark: bool) {
        let scheme = json!({ "name": "prefers-color-scheme", "value": if is_dark { "dark" } else { "light" } });
        self.protocol("Emulation.setEmulatedMedia", &json!({ "features": [scheme] })).await;
    }

    /// How large the window is, in the pixels of a style; of a phone it also has the habits.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn set_size(&self, width: u64, height: u64, is_phone: bool) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone });
        self.protocol("Emulation.setDeviceMetricsOverride", &size).await;
    }

    /// Writes a picture of what the window shows, as PNG.
    ///
    /// # Panics
    /// When it cannot be written.
    pub async fn picture(&self, path: &Path) {
        let picture = self.protocol("Page.captureScreenshot", &json!({ "format": "png" })).await;
        let picture = STANDARD.decode(picture["data"].as_str().expect("a picture")).expect("base64");
        std::fs::write(path, picture).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Ends it.
    ///
    /// # Panics
    /// When it does not take leave.
    pub async fn close(self) {
        let request = Request::delete(format!("/session/{}", self.session)).body(bytes("")).expect("a valid request");
        let reply = self.client.open(request).await.expect("an answer").whole().await.expect("a whole answer");
        value(&reply);
    }

    /// A command of the protocol of Chromium's developer tools.
    async fn protocol(&self, command: &str, parameters: &Json) -> Json {
        self.post("goog/cdp/execute", &json!({ "cmd": command, "params": parameters })).await
    }

    async fn post(&self, what: &str, body: &Json) -> Json {
        value(&self.client.post(&format!("/session/{}/{what}", self.session), body).await)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let Some(driver) = self.driver.id() else { return };
        // Halted, so that it starts nothing meanwhile.
        host::send("STOP", &driver.to_string());
        for browser in children(driver) {
            host::send("KILL", &browser);
        }
        // The whole group; `kill_on_drop` collects the driver itself.
        host::send("KILL", &format!("-{driver}"));
    }
}

/// What a process has started and what still runs. A browser may have a process group of its own.
fn children(process: u32) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let started = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    started.flat_map(|started| started.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn value(reply: &Reply) -> Json {
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["value"].take()
}
