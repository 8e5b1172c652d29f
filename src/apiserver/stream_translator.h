// Streams of exec, attach and portforward for clients that speak WebSocket, towards kubelets that speak SPDY/3.1.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "http/client.h"
#include "http/exchange.h"
#include "http/forward.h"

namespace km::apiserver {

constexpr std::string_view kStreamProtocolV5 = "v5.channel.k8s.io";

struct StreamsAsked {
  bool in = false, out = false, err = false, tty = false;
};

// Whether the client offers channels whose ends it can tell (v5).
bool offersStreamClose(const http::Request& request);
// Accepts the WebSocket, then connects: what the kubelet refuses comes as a Status on the error channel, as upstream's API server has
// it. The channels are 0 stdin, 1 stdout, 2 stderr, 3 error, 4 resize, and 255 with the number of a channel that ends. An error leaves
// the exchange unanswered. The client must live on the exchange's loop; loop's thread only, as the others.
Status translateStreams(http::Client& client, const http::Endpoint& endpoint, std::string target, StreamsAsked asked, std::shared_ptr<http::Exchange> exchange);

// "portforward.k8s.io" of an offered "SPDY/3.1+portforward.k8s.io", or "".
std::string tunnelProtocol(const http::Request& request);
// Connects, then accepts the WebSocket, whose binary messages are the bytes of the SPDY connection.
void tunnelStreams(http::Client& client, const http::Endpoint& endpoint, std::string target, std::string protocol, std::shared_ptr<http::Exchange> exchange,
                   http::Refusal refuse);

}  // namespace km::apiserver
