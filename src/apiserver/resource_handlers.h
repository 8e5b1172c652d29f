// The HTTP side of resource requests: decodes into Operations, encodes what comes back.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "apiserver/exchange_context.h"
#include "apiserver/long_running.h"
#include "apiserver/operations.h"
#include "apiserver/render.h"
#include "apiserver/subresources.h"

namespace km::apiserver {

class ResourceHandlers {
 public:
  // Handles a subresource or an unstored resource; `call` is filled in. Registered under "group/resource/subresource"
  // or "group/resource".
  using Special = std::function<void(HttpCallPtr http, CallPtr call)>;

  explicit ResourceHandlers(Operations& operations);

  void handleSpecially(std::string_view group, std::string_view resource, std::string_view subresource, Special handler);

  // An authorized request for a resource. On the exchange's loop.
  void handle(HttpCallPtr http);

  // Serves an operation of subresources.h.
  void subresource(HttpCallPtr http, CallPtr call, const SubresourceOps& ops);

  // For special handlers: answer with an object, or decode the body as `type`.
  void answerObject(const HttpCallPtr& http, const CallPtr& call, int code, const Result<api::ObjectPtr>& r);
  Result<api::MutableObject> body(const HttpCallPtr& http, Call& call, const codec::TypeInfo& type);
  Operations& operations() { return operations_; }
  LongRunning& longRunning() { return longRunning_; }

 private:
  void patchSubresource(HttpCallPtr http, CallPtr call, const SubresourceOps& ops);
  void get(HttpCallPtr http, CallPtr call);
  void list(HttpCallPtr http, CallPtr call);
  void watch(HttpCallPtr http, CallPtr call);
  void create(HttpCallPtr http, CallPtr call);
  void update(HttpCallPtr http, CallPtr call);
  void patch(HttpCallPtr http, CallPtr call);
  void remove(HttpCallPtr http, CallPtr call);
  void removeCollection(HttpCallPtr http, CallPtr call);
  View view(const HttpCall& http, const Call& call) const;
  // The format of the answer; answers itself and gives false if there is none.
  bool negotiateInto(const HttpCallPtr& http, Forms forms = Forms::kTables);

  Operations& operations_;
  LongRunning longRunning_;
  std::map<std::string, Special, std::less<>> special_;
};

}  // namespace km::apiserver
