// A brain for Vox in TypeScript: gives the caller's words back. See docs/src/vox-protocol.md.
//
//     npm install ws tsx
//     npx tsx echo.ts 8765          # then, in bots.toml:
//     agent = { kind = "websocket", url = "ws://127.0.0.1:8765/", protocol = "vox" }
//
// Keys: `0` drops what is queued, `9` says a second of tone, `#` hangs up.
import { WebSocketServer, type WebSocket } from "ws";
import type { AddressInfo } from "node:net";

const HEADER_BYTES = 12; // version, kind, flags, kHz, sequence (u32), position in ms (u32)
const [VERSION, AUDIO] = [1, 0];

type Event = { type: string; digit?: string; audio?: { rate_hz: number } };

/** A second of 440 Hz. */
function tone(rateKhz: number): Buffer {
  const rateHz = rateKhz * 1000;
  const message = Buffer.alloc(HEADER_BYTES + rateHz * 2);
  message.set([VERSION, AUDIO, 0, rateKhz]);
  for (let n = 0; n < rateHz; n++) {
    const sample = Math.trunc(8000 * Math.sin((2 * Math.PI * 440 * n) / rateHz));
    message.writeInt16LE(sample, HEADER_BYTES + n * 2);
  }
  return message;
}

function talk(socket: WebSocket): void {
  const wish = (message: object) => socket.send(JSON.stringify(message));
  let rateKhz = 8;
  socket.on("message", (message: Buffer, isBinary: boolean) => {
    if (isBinary) {
      if (message[0] === VERSION && message[1] === AUDIO) socket.send(message);
      return;
    }
    const event: Event = JSON.parse(message.toString());
    console.log(JSON.stringify(event));
    if (event.type === "connected" && event.audio) rateKhz = event.audio.rate_hz / 1000;
    if (event.type !== "digit") return;
    switch (event.digit) {
      case "0":
        wish({ type: "clear" });
        break;
      case "9":
        socket.send(tone(rateKhz));
        wish({ type: "mark", name: "tone" });
        break;
      case "#":
        wish({ type: "hang_up", reason: "the caller pressed #" });
        break;
    }
  });
}

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(process.argv[2] ?? 8765),
  handleProtocols: (offered: Set<string>) => offered.has("vox.v1") && "vox.v1",
});
server.on("connection", talk);
server.on("listening", () => console.log(`ready ${(server.address() as AddressInfo).port}`));
