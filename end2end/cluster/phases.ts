/** What a page has shown, in the order in which it did. */
import { type Page } from "@playwright/test";

/** The phases that the page shows from now on, also after it was loaded again. To be called before it is opened. */
export async function phasesOf(page: Page): Promise<string[]> {
    const phases: string[] = [];
    await page.exposeFunction("notePhase", (phase: string) => {
        if (phases.at(-1) !== phase) phases.push(phase);
    });
    await page.addInitScript(() => {
        const note = () => {
            const phase = document.querySelector("main")?.getAttribute("data-phase");
            if (phase) (window as unknown as { notePhase: (phase: string) => void }).notePhase(phase);
        };
        new MutationObserver(note).observe(document, { subtree: true, childList: true, attributeFilter: ["data-phase"] });
    });
    return phases;
}
