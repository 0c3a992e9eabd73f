from __future__ import annotations
import asyncio, signal, time
from pathlib import Path
from tests.farm.controller import daemon
from tests.farm.site import Setting, site
from tests.farm.test_story_daemon import online
async def test_dbg(tmp_path: Path) -> None:
    async with site(tmp_path, Setting(net=230, mix={"m50": 20, "luxos-s19kpro": 20})) as there:
        async with daemon(there) as first:
            await online(there, first)
            t = 0.6*there.full_kw
            order = await there.ask(t, duration_s=120.0)
            await there.grid.wait_for(order, {"REACHED"}, within_s=40.0)
            await there.until(lambda: there.near(t), "m")
            await first.end(signal.SIGKILL)
        n = len(await there.journal())
        ms0=time.time()*1000
        async with daemon(there) as second:
            await online(there, second)
            for i in range(10):
                await asyncio.sleep(1)
                print(f"shown at {time.time()*1000-ms0:.0f}: {there.shown_kw:.2f} target {t:.2f}")
        print("reports", [round(m.report_share,3) for m in there.world.miners][:3])
        for r in (await there.journal())[n:]:
            b=r.record.body
            print("J", r.record.kind, int(r.record.at_ms-ms0), {k:v for k,v in b.items() if k not in ("raw","message","input_sha256","topic")} if r.record.kind not in ("input","signal") else "")
