//! The counters of a `/metrics` page (Prometheus' text format).

use std::collections::BTreeMap;
use std::time::Duration;

/// A page of counters.
#[derive(Debug, Clone)]
pub struct Metrics {
    url: String,
    client: reqwest::Client,
}

/// Why a page could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{url}: expected counters in Prometheus' text format: {problem}")]
pub struct MetricsError {
    url: String,
    problem: String,
}

/// How long a page may take: a target under full load is slow, one that hangs must not hang us.
const PAGE_MAX: Duration = Duration::from_secs(5);
/// Larger pages are not read to their end.
const PAGE_BYTES_MAX: usize = 4 << 20;

impl Metrics {
    /// The page at `url`, as in `http://127.0.0.1:8081/metrics`.
    pub fn at(url: &str) -> Result<Self, MetricsError> {
        let error = |problem: String| MetricsError { url: url.into(), problem };
        let client = reqwest::Client::builder().timeout(PAGE_MAX).no_proxy().build();
        let client = client.map_err(|e| error(e.to_string()))?;
        reqwest::Url::parse(url).map_err(|e| error(e.to_string()))?;
        Ok(Self { url: url.into(), client })
    }

    /// All values now, by name and labels.
    pub async fn counters(&self) -> Result<BTreeMap<String, f64>, MetricsError> {
        let error = |problem: String| MetricsError { url: self.url.clone(), problem };
        let response = self.client.get(&self.url).send().await.and_then(|r| r.error_for_status());
        let mut response = response.map_err(|e| error(e.without_url().to_string()))?;
        let mut page = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|e| error(e.to_string()))? {
            if page.len() + part.len() > PAGE_BYTES_MAX {
                return Err(error(format!("more than {PAGE_BYTES_MAX} bytes")));
            }
            page.extend_from_slice(&part);
        }
        let page = String::from_utf8_lossy(&page);
        let values = parse(&page);
        if values.is_empty() {
            let first = page.lines().next().unwrap_or_default();
            return Err(error(format!("found {first:?}")));
        }
        Ok(values)
    }
}

fn parse(page: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            // Labels may hold spaces; a timestamp may follow the value.
            let end = line.rfind('}').map_or_else(|| line.find(' '), |at| Some(at + 1))?;
            let (name, rest) = line.split_at(end);
            let value: f64 = rest.split_whitespace().next()?.parse().ok()?;
            value.is_finite().then(|| (name.to_owned(), value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_by_name_and_labels() {
        let page =
            "# TYPE a counter\na 3\nb{way=\"a b\",x=\"}\"} 4.5 1700000000\nc +Inf\nnonsense\n";
        let values: Vec<_> = parse(page).into_iter().collect();
        assert_eq!(values, [("a".into(), 3.0), ("b{way=\"a b\",x=\"}\"}".into(), 4.5)]);
    }

    #[tokio::test]
    async fn what_is_no_such_page_says_what_was_expected() {
        assert!(Metrics::at("127.0.0.1").is_err());
        let nobody = Metrics::at("http://127.0.0.1:9/metrics").unwrap();
        let error = nobody.counters().await.unwrap_err().to_string();
        assert!(error.starts_with("http://127.0.0.1:9/metrics: expected counters"), "{error}");
    }
}
