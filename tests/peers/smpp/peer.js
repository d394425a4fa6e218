// An SMSC on the npm package "smpp". The last two digits of the destination say how it behaves; what it hears goes to
// stdout, a JSON object a line. Usage: node peer.js [key.pem cert.pem]
"use strict";

const fs = require("fs");
const smpp = require("smpp");

const [key, cert] = process.argv.slice(2).map((file) => fs.readFileSync(file));
const say = (what) => console.log(JSON.stringify(what));
let lastId = 6698;
const throttled = new Set();

const receiptText = (id, state) =>
  `id:${id} sub:001 dlvrd:001 submit date:2611251011 done date:261125101259 stat:${state} err:000 text:`;

const heard = (pdu) => ({
  command: pdu.command,
  source: [pdu.source_addr_ton, pdu.source_addr_npi, pdu.source_addr],
  destination: [pdu.dest_addr_ton, pdu.dest_addr_npi, pdu.destination_addr],
  coding: pdu.data_coding,
  esm_class: pdu.esm_class,
  validity: pdu.validity_period,
  registered: pdu.registered_delivery,
  text: pdu.short_message.message,
  udh: (pdu.short_message.udh || []).map((element) => element.toString("hex")),
  payload: pdu.message_payload && pdu.message_payload.message,
  sar: [pdu.sar_msg_ref_num, pdu.sar_total_segments, pdu.sar_segment_seqnum].filter((value) => value !== undefined),
});

function byTlv(session, id, source) {
  const state = smpp.MESSAGE_STATE.DELIVERED;
  session.deliver_sm(
    { esm_class: 4, source_addr: source, short_message: "", receipted_message_id: id, message_state: state },
    (answer) => say({ acknowledged: id, status: answer.command_status }),
  );
}

function byText(session, id, source) {
  session.deliver_sm(
    { esm_class: 4, source_addr: source, data_coding: 0, short_message: receiptText(id, "DELIVRD") },
    (answer) => say({ acknowledged: id, status: answer.command_status }),
  );
}

function fromSubscriber(session, pdu) {
  const piece = (number, text) =>
    session.deliver_sm(
      {
        esm_class: 0x40,
        source_addr: pdu.destination_addr,
        destination_addr: "4545",
        data_coding: 8,
        short_message: { udh: Buffer.from([5, 0, 3, 77, 2, number]), message: text },
      },
      (answer) => say({ acknowledged: `part ${number}`, status: answer.command_status }),
    );
  piece(2, "мир 😀");
  piece(1, "Привет, ");
}

const BEHAVIOURS = {
  "02": (session, pdu, id) => {
    session.send(pdu.response({ message_id: Number(id).toString(16).toUpperCase() }));
    byText(session, `000${id}`, pdu.destination_addr);
  },
  "03": (session, pdu, id) => {
    byTlv(session, id, pdu.destination_addr);
    setTimeout(() => session.send(pdu.response({ message_id: id })), 100);
  },
  "04": (session, pdu, id) => {
    const first = !throttled.has(pdu.destination_addr);
    throttled.add(pdu.destination_addr);
    session.send(pdu.response(first ? { command_status: smpp.ESME_RTHROTTLED } : { message_id: id }));
  },
  "05": (session) => session.destroy(),
  "06": (session, pdu, id) => setTimeout(() => session.send(pdu.response({ message_id: id })), 500),
  "07": (session, pdu, id) => {
    session.send(pdu.response({ message_id: id }));
    fromSubscriber(session, pdu);
  },
  "08": (session) => session.socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"),
  "09": (session, pdu) => {
    session.send(pdu.response({ command_status: smpp.ESME_RINVDSTADR }));
  },
  "10": (session, pdu, id) => {
    session.send(pdu.response({ message_id: id }));
    session.unbind();
  },
};

function usual(session, pdu, id) {
  session.send(pdu.response({ message_id: id }));
  if (pdu.registered_delivery) byTlv(session, id, pdu.destination_addr);
}

function serve(session) {
  session.on("error", () => session.destroy());
  session.on("close", () => say({ command: "closed" }));
  const bind = (pdu) => {
    const isKnown = pdu.system_id === "corp" && pdu.password === "s3cret!";
    say({ command: pdu.command, system_type: pdu.system_type, version: pdu.interface_version, known: isKnown });
    session.send(pdu.response(isKnown ? { system_id: "npm" } : { command_status: smpp.ESME_RINVPASWD }));
  };
  session.on("bind_transceiver", bind);
  session.on("bind_transmitter", bind);
  session.on("submit_sm", (pdu) => {
    say(heard(pdu));
    lastId += 1;
    (BEHAVIOURS[pdu.destination_addr.slice(-2)] || usual)(session, pdu, String(lastId));
  });
  session.on("query_sm", (pdu) => {
    say({ command: "query_sm", id: pdu.message_id });
    session.send(pdu.response({ message_id: pdu.message_id, final_date: "", message_state: 2, error_code: 0 }));
  });
  session.on("enquire_link", (pdu) => {
    say({ command: "enquire_link" });
    session.send(pdu.response());
  });
  session.on("unbind", (pdu) => {
    say({ command: "unbind" });
    session.send(pdu.response(), () => session.close());
  });
}

const server = key ? smpp.createServer({ key, cert }, serve) : smpp.createServer(serve);
server.listen(0, "127.0.0.1", () => say({ port: server.address().port }));
process.stdin.on("end", () => process.exit(0)).resume();
