// Clients of the controllers' own service accounts, for a controller manager that reaches its API server over HTTPS
// (--use-service-account-credentials): each controller has the rights of its role and no more.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "async/loop.h"
#include "client/client.h"
#include "client/http_client.h"
#include "client/timers.h"
#include "client/worker_pool.h"

namespace km {

// Makes a client that is kube-system's service account `account`: the account is made if it is missing, its token is asked for with
// `root` and again when 80 % of its life have passed. Blocks. The client must go before what it is given.
Result<std::unique_ptr<client::Client>> makeAccountClient(async::Loop& loop, client::RestConfig config, client::Client& root,
                                                          client::WorkerPool& pool, client::Timers& timers, std::string_view account);

}  // namespace km
