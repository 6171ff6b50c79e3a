// A fixed number of requests a second, sent on time whether or not earlier ones were answered.
// Each body is compared with the exact texts that the releases answer with.
import http from 'k6/http';
import { Counter } from 'k6/metrics';

const BODIES = new Set(__ENV.BODIES.split(','));
const failed = new Counter('bench_failed');
const wrong = new Counter('bench_wrong');

export const options = {
  discardResponseBodies: false,
  summaryTrendStats: ['p(99)'],
  scenarios: {
    load: {
      executor: 'constant-arrival-rate',
      rate: Number(__ENV.RATE),
      timeUnit: '1s',
      duration: `${__ENV.SECONDS}s`,
      preAllocatedVUs: 100,
      maxVUs: 1000,
      gracefulStop: '15s',
    },
  },
};

export default function load() {
  const answer = http.get(__ENV.URL, { timeout: '15s' });
  if (answer.status !== 200) {
    failed.add(1);
    console.error(`status ${answer.status} ${answer.error}`);
  } else if (!BODIES.has(answer.body)) {
    wrong.add(1);
    console.error(`body ${JSON.stringify(answer.body.slice(0, 80))}`);
  }
}

const count = (metric) => (metric ? metric.values.count : 0);

export function handleSummary({ metrics }) {
  const counts = {
    requests: count(metrics.http_reqs),
    failed: count(metrics.bench_failed),
    wrong: count(metrics.bench_wrong),
    unsent: count(metrics.dropped_iterations),
    p99_ms: metrics.http_req_duration.values['p(99)'],
  };
  return { [__ENV.SUMMARY]: JSON.stringify(counts) };
}
