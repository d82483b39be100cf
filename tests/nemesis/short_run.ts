/**
 * What the short forms of runs, which are ordinary tests, have in common.
 *
 * @module
 */
import { removeLeftovers } from "./run_directory.ts";

/** Performs `test` with a directory for reports, and removes it with all that was left in it. */
export async function withReports(
  test: (reports: string) => Promise<void>,
): Promise<void> {
  const reports = await Deno.makeTempDir({ prefix: "whorl-nemesis-" });
  try {
    await test(reports);
  } finally {
    await removeLeftovers(reports);
    await Deno.remove(reports, { recursive: true });
  }
}

/** The end of each log of the run whose report is in `directory`. */
export function logsIn({ directory }: { readonly directory: string }): string {
  return [...Deno.readDirSync(`${directory}/logs`)]
    .sort((a, b) => a.name < b.name ? -1 : 1)
    .map(({ name }) => {
      const text = Deno.readTextFileSync(`${directory}/logs/${name}`);
      return `--- ${name}\n${text.split("\n").slice(-60).join("\n")}`;
    }).join("\n");
}
