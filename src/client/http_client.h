// The HTTPS transport of Client: protobuf bodies, watches as streams of length-prefixed frames, errors decoded from the
// server's Status.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "async/loop.h"
#include "base/clock.h"
#include "base/result.h"
#include "client/client.h"

namespace km::client {

// How to reach and convince a server. Each pair: data wins over the file. Files of tokens are read again when they
// change (once a minute), as projected tokens do.
struct RestConfig {
  std::string server;  // "https://host:port" or "http://..."; a path is put before every request's
  std::string tlsServerName;
  bool insecure = false;
  std::string caData, caFile;
  std::string certData, certFile;
  std::string keyData, keyFile;
  std::string token, tokenFile;
  std::function<std::string()> tokenSource;  // the present token; asked for each call, must not block
  std::string userName, password;  // basic authentication
  std::string impersonateUser;
  std::string userAgent = "km";
  bool json = false;               // JSON instead of protobuf
  Duration timeout = std::chrono::seconds(60);  // of a call other than watch; 0: none
  double qps = 0;                  // client-side limit; 0: none (the server has priority and fairness)
  int burst = 0;
};

// The client's callbacks come on `loop`, which must run and outlive it. Destroying the client, on any thread but the
// loop's, ends its calls with an error and waits for a callback in progress. A request refused with 429 or 503 and
// Retry-After is sent again, up to ten times.
Result<std::unique_ptr<Client>> makeHttpClient(async::Loop& loop, const RestConfig& config);

}  // namespace km::client
