// Client over a function call: a part of this process speaks to the API server through the same authorization, admission and
// registry as everyone, without encoding anything. Objects that it gets are the ones in the server's cache.
#pragma once

#include <functional>
#include <memory>

#include "apiserver/operations.h"
#include "apiserver/subresources.h"
#include "authz/authorizer.h"
#include "client/client.h"
#include "client/worker_pool.h"

namespace km::apiserver {

// `user`: the part's own identity; `userAgent` names the manager of the fields it writes. All must outlive the client.
std::unique_ptr<client::Client> makeLocalClient(Operations& operations, const Subresources& subresources,
                                                const authz::Authorizer& authorizer, client::WorkerPool& pool,
                                                authn::UserInfo user, std::string userAgent);

// 403 as upstream words it.
Status forbiddenBy(const authz::Attributes& a, const std::string& reason);

}  // namespace km::apiserver
