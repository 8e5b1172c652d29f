// The engine over a real etcd: its v3 API over gRPC, with TLS and several endpoints. The way to high
// availability: several API servers on one etcd.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "store/store.h"

namespace km::store {

struct EtcdOptions {
  std::vector<std::string> endpoints;  // "https://10.0.0.1:2379", ...; one is used, the others when it fails
  std::string caFile, certificateFile, keyFile;
  std::string prefix = "/registry";            // stands in etcd where the caller's keys have "/registry"
  Duration timeout = std::chrono::seconds(10);  // of a call, failover included
};

// Waits until one endpoint answers, at most options.timeout. The error names them.
Result<std::unique_ptr<Store>> openEtcd(const EtcdOptions& options);

// Progress of a watch can be asked for and trusted from 3.4.31 and 3.5.13 on; older ones answer before events
// that come first. There the watch is on all keys, so that every revision shows itself.
bool etcdTellsProgress(std::string_view version);

}  // namespace km::store
