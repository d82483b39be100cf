import { assertEquals } from "@std/assert";
import { LiveArea } from "./live_area.ts";
import { capturedOutput } from "./output.ts";
import { ScreenModel } from "./testing/screen_model.ts";

Deno.test("LiveArea overwrites its lines, even if their number changes", () => {
  const output = capturedOutput({ isTerminal: true, columns: 12, rows: 5 });
  const area = new LiveArea(output);
  output.write("before\n");
  const seen = (): string[] => new ScreenModel(12, 5).feed(output.written);
  area.show(["one", "two"]);
  assertEquals(seen(), ["before", "one", "two", ""]);
  area.show(["1", "2", "3"]);
  assertEquals(seen(), ["before", "1", "2", "3", ""]);
  area.show(["last"]);
  assertEquals(seen(), ["before", "last", ""]);
  area.clear();
  assertEquals(seen(), ["before", ""]);
  area.show(["kept"]);
  area.keep();
  area.clear();
  assertEquals(seen(), ["before", "kept", ""]);
});

Deno.test("LiveArea shows what fits, in width and in height", () => {
  const output = capturedOutput({ isTerminal: true, columns: 6, rows: 3 });
  const area = new LiveArea(output);
  for (const mark of ["a", "b"]) {
    area.show(["1", "2", "3", "4"].map((number) => (mark + number).repeat(9)));
  }
  // The cursor's own line is the third.
  assertEquals(new ScreenModel(6, 3).feed(output.written), [
    "b1b1b",
    "b2b2b",
    "",
  ]);
});

Deno.test("LiveArea finds its first line when the terminal has become narrower", () => {
  const size = { columns: 20 };
  const written = capturedOutput({ isTerminal: true });
  const output = { ...written, columns: () => size.columns };
  const area = new LiveArea(output);
  area.show(["0123456789012345", "x"]);
  size.columns = 8;
  area.clear();
  // Two lines for the first, one for the second.
  assertEquals(written.written.endsWith("\x1b[3A\r\x1b[J"), true);
});
