import { assertEquals, assertThrows } from "@std/assert";
import { spawn } from "./process.ts";
import { Registry } from "./registry.ts";
import { SupervisorError } from "./supervisor_error.ts";

Deno.test("Registry finds a process by name until it ends", () => {
  const registry = new Registry();
  const process = spawn(() => {});
  registry.register("ring", process);
  registry.register("ring", process);
  assertEquals(registry.whereis("ring"), process);
  assertEquals(registry.names(), ["ring"]);
  process.exit("normal");
  assertEquals(registry.whereis("ring"), undefined);
});

Deno.test("Registry gives a name to one process at a time", () => {
  const registry = new Registry();
  const first = spawn(() => {});
  const second = spawn(() => {});
  registry.register("ring", first);
  const error = assertThrows(
    () => registry.register("ring", second),
    SupervisorError,
  ) as SupervisorError;
  assertEquals(error.code, "already_registered");
  assertEquals(registry.unregister("ring"), true);
  registry.register("ring", second);
  // The end of an earlier holder takes nothing from the present one.
  first.exit("normal");
  assertEquals(registry.whereis("ring"), second);
  second.exit("normal");
  registry.register("ring", first);
  assertEquals(registry.whereis("ring"), undefined);
  assertEquals(registry.unregister("ring"), false);
});
