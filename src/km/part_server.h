// The port of a part that runs alone: health and metrics, over HTTPS with delegated authentication and authorization (controller manager,
// scheduler), or plain on loopback (proxy).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "async/loop.h"
#include "base/result.h"
#include "client/client.h"
#include "km/tls_flags.h"

namespace km {

class FlagSet;

// Upstream's flags of a secure port.
struct PartServerFlags {
  std::string bindAddress = "127.0.0.1";  // upstream's default is 0.0.0.0: here nothing listens beyond loopback unasked
  int securePort = 0;
  std::string tlsCertFile, tlsPrivateKeyFile, clientCaFile;
  TlsFlags tls;
  std::vector<std::string> alwaysAllow = {"/healthz", "/readyz", "/livez"};

  explicit PartServerFlags(int port) : securePort(port) {}
  void addTo(FlagSet& flags);
};

// A condition of health, by name ("leaderElection").
struct HealthCheck {
  std::string name;
  std::function<Status()> check;
};

class PartServer {
 public:
  // `pages`: further paths with what they answer ("/configz"), JSON where it looks so.
  // Port 0: null, nothing is served. `client` is asked about callers; it and `loops` must outlive the server.
  static Result<std::unique_ptr<PartServer>> secure(const PartServerFlags& flags, client::Client& client, async::LoopGroup& loops,
                                                    std::vector<HealthCheck> checks, std::map<std::string, std::string> pages = {});
  // Without TLS and for everybody who reaches "ADDRESS:PORT"; "" serves nothing. `paths`: "/healthz", "/metrics"...
  static Result<std::unique_ptr<PartServer>> plain(const std::string& address, async::LoopGroup& loops, std::vector<std::string> paths,
                                                   std::vector<HealthCheck> checks, std::map<std::string, std::string> pages = {});
  virtual ~PartServer() = default;
  virtual int port() const = 0;
};

}  // namespace km
