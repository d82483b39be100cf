/**
 * The long scenarios on nodes inside this process, which each change need not
 * wait for: `deno task test:long`.
 *
 * @module
 */
import { testScenarios } from "./scenarios/play.ts";

testScenarios("in_process", ({ long = false }) => long);
