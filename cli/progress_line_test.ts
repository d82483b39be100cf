import { assertEquals } from "@std/assert";
import { capturedOutput } from "./output.ts";
import { ProgressLine } from "./progress_line.ts";

Deno.test("ProgressLine prints messages above itself and leaves nothing behind", () => {
  const output = capturedOutput({ isTerminal: true, columns: 11 });
  const line = new ProgressLine(output);
  line.show("0123456789abc");
  line.remark("Look");
  line.clear();
  line.clear();
  assertEquals(
    output.remarks,
    "\r0123456789\x1b[K" + "\rLook\x1b[K\n0123456789" + "\r\x1b[K",
  );
});

Deno.test("ProgressLine prints only messages if the output is not a terminal", () => {
  const output = capturedOutput();
  const line = new ProgressLine(output);
  line.show("10%");
  line.remark("Look");
  line.clear();
  assertEquals(output.remarks, "Look\n");
});
