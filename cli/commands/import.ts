/**
 * `whorl import`: take in a file.
 *
 * @module
 */
import { formatBytes, formatDuration } from "../../src/admin/figure_text.ts";
import type { Command, Invocation } from "../command.ts";
import { UsageError } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { importRecords, type ImportReport } from "../import/import_records.ts";
import { openImportSource } from "../import/import_source.ts";
import { renderProgress } from "../import/progress_bar.ts";
import { formatByName } from "../import/read_records.ts";
import { type Format, FORMATS } from "../import/record_parser.ts";
import { writeJson } from "../json.ts";
import { ProgressLine } from "../progress_line.ts";
import { ReconnectingSession } from "../reconnecting_session.ts";
import { openWithin, sessionRequest } from "../session_flags.ts";
import type { World } from "../world.ts";

/** Rejects shown one by one; the rest are counted, and listed with --json. */
const REJECTS_SHOWN_MAX = 20;
const CONCURRENCY_MAX = 4_096;

/** `whorl import` */
export const importCommand: Command = {
  name: "import",
  summary: "take in a file of records: NDJSON, a JSON array, CSV or TSV",
  about:
    'Stores each record of FILE ("-" for standard input) in a bucket, under the key one of its fields holds. ' +
    "CSV rows become objects of text, named by the header row. Files may be gzipped (.gz) and larger than " +
    "memory; reading waits for the cluster.\n\n" +
    "A record that cannot be stored is reported with its line and the reason, and the others go on; the exit " +
    "code is then 1. Running the same import again adds nothing twice: each key is read first, what is there " +
    "already is left alone, and what differs is replaced. If keys repeat, the last record wins. Trouble in " +
    "the cluster, such as a node that is killed, is waited out.",
  positionals: [{ name: "FILE", says: 'the file, or "-"' }],
  flags: [
    { name: "bucket", value: "BUCKET", says: "where the records go" },
    {
      name: "key",
      value: "FIELD",
      says: "the field with the key, as a dotted path: id, user.id",
    },
    {
      name: "format",
      value: "FORMAT",
      says: "how the file is written",
      choices: FORMATS,
      default: "told by its name, else by its first character",
    },
    {
      name: "concurrency",
      value: "N",
      says: "records stored at a time",
      default: "64",
    },
    {
      name: "allow-rejects",
      says: "exit code 0 even if records were rejected",
    },
    { name: "quiet", says: "no progress and no list of rejects" },
  ],
  talksToNode: true,
  examples: [
    {
      line: "import people.ndjson --bucket people --key id --data data/dev1",
      says: "one JSON object a line",
    },
    {
      line: "import cities.csv.gz --bucket cities --key name --data data/dev1",
      says: "CSV, packed; the header names the fields",
    },
    {
      line:
        "import - --bucket logs --key request.id --format ndjson --data data/dev1",
      says: "from a pipe",
    },
  ],
  async run(invocation, world): Promise<number> {
    const bucket = required(invocation, "bucket");
    const key = required(invocation, "key");
    const path = invocation.words[0]!;
    const { target, options } = await sessionRequest(invocation, world);
    const concurrency = invocation.count("concurrency", {
      min: 1,
      max: CONCURRENCY_MAX,
    });
    const open = () => openWithin(world, target, options);
    // The first connection is made before the file is opened: a wrong target
    // fails at once, while later breaks are waited out.
    await using session = new ReconnectingSession(open, await open());
    const source = await openImportSource(path, world.input);
    const stopping = new AbortController();
    using _ = world.onStopSignal(() => stopping.abort());
    const quiet = invocation.on("quiet");
    const line = new ProgressLine(world.output);
    let rejectsShown = 0;
    const report = await importRecords(source.stream, session.kv, {
      bucket,
      key,
      concurrency,
      format: (invocation.text("format") as Format | undefined) ??
        formatByName(path),
      timeoutMs: options.timeoutMs,
      signal: stopping.signal,
      onReject: ({ line: number, reason }) => {
        if (quiet || ++rejectsShown > REJECTS_SHOWN_MAX) return;
        line.remark(`${path}:${number}: ${reason}`);
      },
      onProgress: (report) => {
        if (quiet) return;
        const bytes = source.bytesRead();
        const { bytesTotal } = source;
        line.show(
          renderProgress({ report, bytes, bytesTotal }, world.output.columns()),
        );
      },
    });
    line.clear();
    if (invocation.on("json")) {
      writeJson(world.output, { ...report, bytes: source.bytesRead() });
    } else {
      summarize(world, report, source.bytesRead(), quiet);
    }
    if (stopping.signal.aborted) return ExitCode.interrupted;
    return report.endedEarly !== null ||
        report.rejected > 0 && !invocation.on("allow-rejects")
      ? ExitCode.failed
      : ExitCode.ok;
  },
};

function required(invocation: Invocation, flag: string): string {
  const value = invocation.text(flag);
  if (value === undefined || value === "") {
    throw new UsageError(`whorl import needs --${flag}`);
  }
  return value;
}

function summarize(
  { output }: World,
  report: ImportReport,
  bytes: number,
  quiet: boolean,
): void {
  const { records, added, updated, unchanged, rejected, elapsedMs } = report;
  if (!quiet && rejected > REJECTS_SHOWN_MAX) {
    output.remark(
      `... and ${
        rejected - REJECTS_SHOWN_MAX
      } more rejects; --json lists them\n`,
    );
  }
  const perSecond = Math.round(records / Math.max(elapsedMs, 1) * 1_000);
  output.write(
    `${records} records (${formatBytes(bytes)}) in ${
      formatDuration(elapsedMs)
    }, ${perSecond}/s: ` +
      `${added} added, ${updated} updated, ${unchanged} unchanged, ${rejected} rejected\n`,
  );
  if (report.endedEarly !== null) {
    const again = records === 0
      ? ""
      : ". Running it again goes on where it ended";
    output.remark(`Ended early: ${report.endedEarly}${again}\n`);
  }
}
