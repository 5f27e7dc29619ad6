// The onboarding journey by a generated client, type-checked before it runs.
//
// RAMPART_URL and RAMPART_TOKEN say where the platform is and who asks; KUBECONFIG is the file of a cluster to onboard.

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

import createClient from "openapi-fetch";

import type { components, paths } from "./api.js";

type Problem = components["schemas"]["Problem"];

const NAME = "from-typescript";

function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
}

/** What was asked for, where there was no problem. */
function good<T>(answer: { data?: T; error?: Problem }): T {
  if (answer.error !== undefined) throw new Error(`${answer.error.code}: ${answer.error.detail}`);
  if (answer.data === undefined) throw new Error("the answer holds nothing");
  return answer.data;
}

function must(fits: boolean, what: unknown): void {
  if (!fits) throw new Error(JSON.stringify(what));
}

/** Asks until the work has ended. */
async function ended<T extends { status: string }>(ask: () => Promise<T>): Promise<T> {
  for (let turn = 0; turn < 600; turn += 1) {
    const answer = await ask();
    if (answer.status !== "queued" && answer.status !== "running") return answer;
    await sleep(200);
  }
  throw new Error("it does not end");
}

const client = createClient<paths>({
  baseUrl: setting("RAMPART_URL"),
  headers: { Authorization: `Bearer ${setting("RAMPART_TOKEN")}` },
});

const connector = good(
  await client.POST("/v1/connectors", {
    body: {
      name: NAME,
      source: { provider: "kubernetes", kubeconfig: readFileSync(setting("KUBECONFIG"), "utf8"), cluster_name: NAME },
    },
  }),
);

const place = { connector: NAME, preflight_id: connector.preflight.id };
const preflight = await ended(async () =>
  good(await client.GET("/v1/connectors/{connector}/preflights/{preflight_id}", { params: { path: place } })),
);
must(preflight.status === "succeeded" && preflight.checks.length > 0, preflight);

const asked = good(await client.POST("/v1/connectors/{connector}/scans", { params: { path: { connector: NAME } } }));
const scan = await ended(async () =>
  good(await client.GET("/v1/scans/{scan_id}", { params: { path: { scan_id: asked.id } } })),
);
must(scan.status === "succeeded", scan);

const clusters = good(await client.GET("/v1/clusters", { params: { query: { limit: 100 } } })).items;
must(clusters.length > 0, clusters);

let findings: components["schemas"]["Finding"][] = [];
for (let turn = 0; turn < 600 && findings.length === 0; turn += 1) {
  const page = good(await client.GET("/v1/findings", { params: { query: { limit: 10 } } }));
  if (!("items" in page)) throw new Error("a list was asked for");
  findings = page.items;
  if (findings.length === 0) await sleep(200);
}
must(findings.length > 0 && findings.every((finding) => finding.control_id.length > 0), findings);

const recommendations = good(await client.GET("/v1/recommendations", { params: { query: { limit: 10 } } })).items;
must(recommendations.length > 0, recommendations);

const missing = await client.GET("/v1/scans/{scan_id}", { params: { path: { scan_id: connector.id } } });
must(missing.response.status === 404 && missing.error?.code === "not_found", missing.error);
console.log(`${clusters.length} clusters, ${findings.length} findings, ${recommendations.length} recommendations`);
