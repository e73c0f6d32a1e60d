// The browser's side of the PrinterWebsocket protocol: one global, PrinterWebSocket, for a plain <script src>.
//
//   await PrinterWebSocket.initialize("ws://localhost:8765");
//   const names = await PrinterWebSocket.fetchPrinters();
//   await PrinterWebSocket.print(names[0], "CLS\nTEXT 10,10,\"3\",0,1,1,\"Hello\"\nPRINT 1,1\n");
//
// It has the methods and results that pages written for that project count on, and talks to its server, too.
// Every rejection is an Error with `code` (stable), `message` and `hint` (how to mend it; may be empty).
// It needs nothing but ES2017, WebSocket and btoa, so it runs outside of a browser as well.

var PrinterWebSocket = (function () {
  "use strict";

  // The calls that every server of this protocol answers. Any other gets {"result"} or {"error"}, or, where the
  // server does not know it, silence.
  const KNOWN_TO_ALL = ["printers.find", "print", "printerStatus", "server.version"];

  const HELLO_MS = 500; // how long initialize() waits for a server that does not answer `server.version`
  const SILENCE_MS = 2000; // after this long without an answer, ask whether the call was passed over

  const OPEN = 1; // WebSocket.OPEN, which not every stand-in for WebSocket carries

  function fault(code, message, hint) {
    const error = new Error(message);
    error.code = code;
    error.hint = hint || "";
    return error;
  }

  function freshId() {
    let id = "uid-";
    while (id.length < 20) {
      id += Math.random().toString(36).slice(2);
    }
    return id.slice(0, 20);
  }

  // "ws://localhost:8765" and "ws://localhost:8765/" are one server.
  function canonical(url) {
    try {
      return new URL(url).href;
    } catch (error) {
      return String(url);
    }
  }

  function base64(bytes) {
    let text = "";
    // In pieces, since a call takes only so many arguments.
    for (let start = 0; start < bytes.length; start += 8192) {
      text += String.fromCharCode.apply(null, bytes.subarray(start, start + 8192));
    }
    return btoa(text);
  }

  // One thing to print as it goes over the wire. Text travels as it is; bytes, which JSON cannot hold, as base64.
  function dataItem(one) {
    if (typeof one === "string") {
      return one;
    }
    if (ArrayBuffer.isView(one)) {
      const bytes = new Uint8Array(one.buffer, one.byteOffset, one.byteLength);
      return { type: "raw", format: "command", flavor: "base64", data: base64(bytes) };
    }
    if (Object.prototype.toString.call(one) === "[object ArrayBuffer]") {
      return dataItem(new Uint8Array(one));
    }
    if (one !== null && typeof one === "object") {
      return one;
    }
    throw fault("bad-data", "There is nothing to print: the data is " + (one === null ? "null" : typeof one) + ".",
      "Give print() a string, a Uint8Array or a list of them.");
  }

  // The page may define this function; it may also be a `const`, which is no property of any global object.
  function showPrinters(list) {
    try {
      if (typeof populatePrinterDropdown === "function") {
        populatePrinterDropdown(list);
      }
    } catch (error) {
      console.error("PrinterWebSocket: populatePrinterDropdown failed:", error);
    }
  }

  // Why a connection could not be made or ended. A browser tells a page nothing of a refused handshake, so the
  // message lists what it can have been.
  function whyClosed(url, event, wasOpen) {
    const reason = event.reason ? String(event.reason) : "";
    if (event.code === 4403) {
      return fault("forbidden", "The print server refused this page: " + (reason || "its origin is not allowed."),
        "Add the page's origin to `origins` under [access] in the server's configuration.");
    }
    if (!wasOpen) {
      const origin = typeof location === "object" && location.origin ? " (" + location.origin + ")" : "";
      return fault("unreachable",
        "Cannot connect to the print server at " + url + ": check that it is running there, that it allows this page's"
        + " origin" + origin + ", and that the browser lets this page reach devices on this computer or network.",
        "Start rawprint-server, or look at what it logged.");
    }
    let message = "The connection to the print server was lost";
    // 1000 to 1006 without a reason say only that it ended: closed, gone away, cut off.
    if (reason || event.code > 1006) {
      message += " (" + [event.code, reason].filter(Boolean).join(" ") + ")";
    }
    return fault("disconnected", message + ".", "Call initialize() again.");
  }

  function create() {
    let socket = null; // the connection, opening or open
    let opening = null; // the promise that initialize() gave for it
    let refuse = null; // rejects that promise; does nothing once it is settled
    let address = null;
    let lastEnd = null; // why the last connection ended, for those who ask after it did
    let uid = freshId();
    let count = 0;
    const waiting = new Map(); // uid -> request without an outcome yet, in the order they were sent

    function isConnected() {
      return socket !== null && socket.readyState === OPEN;
    }

    // Lets go of the connection: nothing it does any more is heard, and nobody is left waiting.
    function release(error) {
      const old = socket;
      const requests = Array.from(waiting.values());
      socket = null;
      lastEnd = error;
      uid = freshId();
      waiting.clear();
      if (old !== null) {
        old.onopen = old.onmessage = old.onclose = null;
        old.onerror = function () {}; // a stand-in for WebSocket may throw an error that nobody listens to
        try {
          old.close();
        } catch (ignored) {
          // It is closed, then.
        }
        refuse(error);
      }
      requests.forEach(function (request) {
        clearTimeout(request.timer);
        const risk = request.call === "print" ? " The job may be printed all the same." : "";
        request.reject(fault(error.code, error.message + risk, error.hint));
      });
    }

    function initialize(url) {
      if (socket !== null && socket.readyState <= OPEN && canonical(url) === canonical(address)) {
        address = url;
        return opening;
      }
      if (socket !== null) {
        release(fault("disconnected", "The page connected to another print server."));
      }
      address = url;
      let fresh;
      try {
        fresh = new WebSocket(url);
      } catch (error) {
        // Not an address, or an address that the browser lets no page of this kind use.
        return Promise.reject(fault("bad-address", "Cannot connect to " + url + ": " + error.message,
          "An address looks like ws://localhost:8765."));
      }
      socket = fresh;
      opening = new Promise(function (resolve, reject) {
        let wasOpen = false;
        refuse = reject;
        fresh.onopen = function () {
          wasOpen = true;
          // A server that refuses a page can say why only after the connection stands. So it is the first answer,
          // not the open connection, that tells being served from being about to be refused.
          const timer = setTimeout(resolve, HELLO_MS);
          const served = function () {
            clearTimeout(timer);
            resolve();
          };
          send("server.version", {}).then(served, function () {
            clearTimeout(timer);
            if (socket === fresh) {
              resolve(); // it answered, if only with an error
            }
          });
        };
        fresh.onmessage = function (event) {
          receive(event.data);
        };
        fresh.onclose = function (event) {
          release(whyClosed(url, event, wasOpen));
        };
        fresh.onerror = function () {
          // An open connection is closed after it, with a reason; one that failed to open need not be.
          if (!wasOpen) {
            release(whyClosed(url, {}, false));
          }
        };
      });
      return opening;
    }

    function send(call, fields) {
      return new Promise(function (resolve, reject) {
        if (!isConnected()) {
          throw fault("not-connected", "Not connected to WebSocket server." + (lastEnd ? " " + lastEnd.message : ""),
            "Call initialize() and wait for its promise.");
        }
        count += 1;
        const request = { call: call, uid: uid + "-" + count, resolve: resolve, reject: reject, timer: undefined };
        socket.send(JSON.stringify(Object.assign({ call: call, uid: request.uid }, fields)));
        waiting.set(request.uid, request);
        if (!KNOWN_TO_ALL.includes(call)) {
          request.timer = setTimeout(function () {
            // Replies come in the order of the requests: the answer to this one shows that none comes to that one.
            send("server.version", {}).catch(function () {});
          }, SILENCE_MS);
        }
      });
    }

    function take(request) {
      clearTimeout(request.timer);
      waiting.delete(request.uid);
      return request;
    }

    function receive(text) {
      let frame;
      try {
        frame = JSON.parse(text);
      } catch (error) {
        return; // not ours
      }
      const request = frame === null || typeof frame !== "object" ? undefined : waiting.get(frame.uid);
      if (request === undefined) {
        return; // a broadcast, or the answer to nothing that was asked here
      }
      for (const earlier of waiting.values()) {
        if (earlier === request) {
          break;
        }
        if (!KNOWN_TO_ALL.includes(earlier.call)) {
          take(earlier).reject(fault("no-reply", "The print server gave no answer to " + earlier.call + ".",
            "It may be a server that does not know this call."));
        }
      }
      settle(request, frame);
    }

    // Ends a request, unless the frame is only a notice on the way to its outcome.
    function settle(request, frame) {
      const error = frame.error;
      if (error !== null && typeof error === "object") {
        take(request).reject(fault(error.code || "error", error.message || "The print server reports an error.",
          error.hint));
      } else if (request.call === "printerStatus" && typeof frame.status_code === "number") {
        take(request).resolve(frame.status_code); // here 1 is the state "printing", and no notice
      } else if (frame.status === "error") {
        take(request).reject(fault(frame.code || "error", frame.message || "The print server reports an error.",
          frame.hint));
      } else if (request.call === "print") {
        if (frame.status_code !== 1) {
          take(request).resolve(frame);
        }
      } else if ("result" in frame) {
        take(request).resolve(frame.result);
      }
    }

    return {
      // Connects; resolves (with nothing) when the server is there and serves this page. While connected to the
      // same address it resolves at once; another address replaces the connection.
      initialize: initialize,

      // The names of the printers. The global function populatePrinterDropdown, where there is one, gets them, too.
      fetchPrinters: function () {
        return send("printers.find", {}).then(function (list) {
          if (!Array.isArray(list)) {
            throw fault("bad-reply", "Failed to fetch printers.");
          }
          showPrinters(list);
          return list;
        });
      },

      // Prints a string, a Uint8Array, or a list of those and of data items, exactly as given. Resolves with the
      // server's outcome. `options` go to the server as they are: {id: …} names the job.
      print: function (printerName, data, options) {
        const outcome = new Promise(function (resolve) {
          const params = { printer: { name: printerName }, data: (Array.isArray(data) ? data : [data]).map(dataItem) };
          if (options !== undefined) {
            params.options = options;
          }
          resolve(send("print", { params: params }));
        });
        // Pages of old get nothing from print() and look at nothing: for them a failure is a line in the console,
        // not an unhandled rejection.
        outcome.catch(function (error) {
          console.error("PrinterWebSocket: " + error.message);
        });
        return outcome;
      },

      // 0 idle, 1 printing, 2 out of paper, 3 anything else: stopped, unreachable, or no such printer.
      printerStatus: function (printerName) {
        return send("printerStatus", { PrinterName: printerName });
      },

      // Any call of the server by its own name; resolves with its `result`.
      call: function (name, params) {
        return send(name, params === undefined ? {} : { params: params });
      },

      // Closes the connection.
      resetConnection: function () {
        release(fault("disconnected", "The page closed the connection to the print server."));
        lastEnd = null;
      },

      isConnected: isConnected,

      // "printing" while a print() of this page has no outcome yet, else "idle".
      getPrinterStatus: function () {
        const calls = Array.from(waiting.values(), function (request) {
          return request.call;
        });
        return calls.includes("print") ? "printing" : "idle";
      },

      // The address last given to initialize(); null before that.
      getServerAddress: function () {
        return address;
      },

      // Names this connection; the uid of each request begins with it.
      getUniqID: function () {
        return uid;
      },

      // Another client with a connection of its own. Replies come in the order of the requests, so a page that
      // wants to ask while a print of its own waits for paper asks over a second one.
      create: create,
    };
  }

  return create();
})();

if (typeof module === "object" && module !== null && module.exports) {
  module.exports = PrinterWebSocket;
}
