// Forwarding a request to another server: streamed answers with back-pressure, and changes of protocol whose bytes go both
// ways untouched.
#pragma once

#include <functional>
#include <memory>

#include "http/client.h"
#include "http/exchange.h"

namespace km::http {

// Each gets the other's bytes; when one is closed the other is. Both on one loop. Loop's thread only.
void joinStreams(std::shared_ptr<ByteStream> a, std::shared_ptr<ByteStream> b);

// How answers other than a success are given: the status and the first 64 KiB of the body. 502 if nobody answered.
using Refusal = std::function<void(const std::shared_ptr<Exchange>& exchange, int status, std::string body)>;

// Sends `options` and streams what comes back as the exchange's answer, with the content type given by the server.
// The client must live on the exchange's loop. Loop's thread only.
void forwardAnswer(Client& client, const Endpoint& endpoint, CallOptions options, std::shared_ptr<Exchange> exchange, Refusal refuse);

// Asks the endpoint to change the protocol as the exchange's client asks (upgrade, x-stream-protocol-version go along) and
// joins the two. The client must live on the exchange's loop. Loop's thread only.
void forwardUpgrade(Client& client, const Endpoint& endpoint, CallOptions options, std::shared_ptr<Exchange> exchange, Refusal refuse);

}  // namespace km::http
