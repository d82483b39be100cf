/**
 * What is set about the transfers of nodes, as a table.
 *
 * @module
 */
import type { HandoffConfig } from "../../src/handoff/transfer.ts";
import type { MemberAnswers } from "../../src/node/admin_protocol.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { remarkFailures } from "../member_failures.ts";
import type { Output } from "../output.ts";
import { renderTable } from "../table.ts";

/** Writes what is set at each node, as a table or as JSON. */
export function writeConfigs(
  output: Output,
  { answers, failures }: MemberAnswers<HandoffConfig>,
  json: boolean,
): void {
  if (json) {
    writeJson(output, {
      nodes: answers.map(({ node, result }) => ({ node, ...result })),
      unanswered: failures,
    });
    return;
  }
  renderTable(
    output,
    ["Node", "Limit", "Inbound", "Outbound"],
    answers.map(({ node, result }) => [
      node,
      String(result.concurrency),
      result.inbound ? "enabled" : "disabled",
      result.outbound ? "enabled" : "disabled",
    ]),
    ["left", "right"],
  );
  remarkFailures(output, failures);
}

/** The exit code of a change: all that were to do it have. */
export function changeCode(
  { failures }: MemberAnswers<HandoffConfig>,
): number {
  return failures.length === 0 ? ExitCode.ok : ExitCode.failed;
}
