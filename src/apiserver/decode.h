// From the bytes of a request to an object and its options, with upstream's errors.
#pragma once

#include <string_view>

#include "api/object.h"
#include "apiserver/call.h"
#include "apiserver/media_type.h"
#include "apiserver/request_info.h"
#include "base/result.h"
#include "registry/registry.h"

namespace km::apiserver {

// The body as an object of `type` (the served version of the resource, or the type of a subresource). A body without kind and
// apiVersion is taken for one of that type. Unknown and duplicate fields are refused, or added to call.warnings, as the
// call's field validation says. No defaults are applied.
Result<api::MutableObject> decodeBody(Call& call, std::string_view body, Encoding encoding, const codec::TypeInfo& type);

// Fills the write options of `call`; errors name `kind` ("CreateOptions"). `apply`: of a patch that is an apply.
Status readWriteOptions(const Query& query, std::string_view kind, Call& call, bool apply = false);
// Fills the options of list and watch.
Status readListOptions(const Query& query, Call& call);
// From the body, or the query if there is no body.
Result<registry::DeleteOptions> readDeleteOptions(std::string_view body, Encoding encoding, const Query& query, Call& call);

}  // namespace km::apiserver
