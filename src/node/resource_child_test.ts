import { assertEquals } from "@std/assert";
import { ResourceChild } from "./resource_child.ts";

/** A child whose resource is released when the test says so. */
function slowChild() {
  const gone = Promise.withResolvers<void>();
  let releases = 0;
  const child = new ResourceChild("slow", () => {
    releases++;
    return gone.promise;
  });
  return { child, gone, releases: () => releases };
}

Deno.test("ResourceChild ends with the reason it was stopped for, once its resource is released", async () => {
  const { child, gone } = slowChild();
  child.stop("shutdown");
  assertEquals(child.exitReason, undefined);
  gone.resolve();
  await new Promise<void>((resolve) => child.onExit(() => resolve()));
  assertEquals(child.exitReason, "shutdown");
});

Deno.test("ResourceChild.kill() leaves the resource free for the next one", async () => {
  const { child, gone, releases } = slowChild();
  child.kill();
  assertEquals(releases(), 1);
  assertEquals(child.exitReason, undefined);
  gone.reject(new Error("it resists"));
  await new Promise<void>((resolve) => child.onExit(() => resolve()));
  assertEquals(child.exitReason, "killed");
});

Deno.test("ResourceChild.kill() does not wait for a resource that is being released", () => {
  const { child, releases } = slowChild();
  child.stop("shutdown");
  child.kill();
  assertEquals(child.exitReason, "killed");
  assertEquals(releases(), 1);
});

Deno.test("ResourceChild.fail() ends with its cause", async () => {
  const child = new ResourceChild("broken", () => {});
  child.fail(new Error("the disk is gone"));
  await new Promise<void>((resolve) => child.onExit(() => resolve()));
  const reason = child.exitReason;
  assertEquals(
    typeof reason === "object" && reason.type === "crash" &&
      reason.error.message,
    "the disk is gone",
  );
});
