import { assertEquals } from "@std/assert";
import { capturedOutput } from "./output.ts";
import { renderTable } from "./table.ts";

const HEADING = ["Name", "Count", "Remark"];
const ROWS = [["one", "1", "short"], ["two", "22", "rather a long remark"]];

function table(looks: Parameters<typeof capturedOutput>[0]): string[] {
  const output = capturedOutput(looks);
  renderTable(output, HEADING, ROWS, ["left", "right"], [1]);
  return output.written.trimEnd().split("\n");
}

Deno.test("renderTable() aligns columns on a terminal and separates them by tabs in a pipe", () => {
  assertEquals(table({ isTerminal: true }), [
    "Name  Count  Remark",
    "one       1  short",
    "two      22  rather a long remark",
  ]);
  assertEquals(table({}), ["one\t1\tshort", "two\t22\trather a long remark"]);
});

Deno.test("renderTable() drops and truncates optional columns on a narrow terminal", () => {
  assertEquals(table({ isTerminal: true, columns: 26 }), [
    "Name  Remark",
    "one   short",
    "two   rather a long remark",
  ]);
  assertEquals(table({ isTerminal: true, columns: 18 }), [
    "Name  Remark",
    "one   short",
    "two   rather a lo…",
  ]);
  const output = capturedOutput({ isTerminal: true, columns: 18 });
  renderTable(output, HEADING, ROWS);
  assertEquals(output.written.includes("rather a long remark"), true);
});
