/** Waiting for something to become true, outside of an `expect`. */
import { setTimeout as sleep } from "node:timers/promises";

/** Tries `attempt` until it gives true. An error of it is no reason to give up; one of `assertHope` is. */
export async function until(what: string, seconds: number, attempt: () => Promise<boolean>, assertHope: () => void): Promise<void> {
    const deadline = Date.now() + seconds * 1000;
    let trouble: unknown;
    while (Date.now() < deadline) {
        assertHope();
        try {
            if (await attempt()) return;
        } catch (error) {
            trouble = error;
        }
        await sleep(50);
    }
    throw new Error(`${what}: not within ${seconds} s`, { cause: trouble });
}

/** Does something again and again, with a pause after each time, until what this gives is called. */
export function repeat(pause: number, step: () => Promise<void>): () => Promise<void> {
    let isOver = false;
    const loop = async () => {
        while (!isOver) {
            await step();
            await sleep(pause);
        }
    };
    const looped = loop();
    return async () => {
        isOver = true;
        await looped;
    };
}
