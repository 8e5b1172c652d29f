// Discovery: which groups, versions and resources there are, in the plain and the aggregated form. Made once from the table of
// resources and shared.
#pragma once

#include <string>
#include <string_view>

#include "apiserver/exchange_context.h"
#include "apiserver/resources.h"

namespace km::apiserver {

class Discovery {
 public:
  // `serverAddress`: host:port told to clients ("advertised").
  Discovery(const Resources& resources, std::string serverAddress);

  // Answers /api, /apis and what lies below them as far as no resource is named; false if the path is another.
  bool handle(const HttpCallPtr& http) const;

  // Groups other than the core group, in the order of their priority.
  static std::vector<std::string_view> groups(const Resources& resources);
  static std::vector<std::string_view> versions(const Resources& resources, std::string_view group);

 private:
  void answer(const HttpCallPtr& http, const codec::TypeInfo& type, const void* object, std::string_view apiVersion) const;
  bool answerAggregated(const HttpCallPtr& http, bool core) const;
  void answerResources(const HttpCallPtr& http, std::string_view group, std::string_view version) const;

  const Resources& resources_;
  std::string serverAddress_;
};

}  // namespace km::apiserver
