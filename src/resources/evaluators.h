// The kinds that quotas know more of than their number; for usage.cc.
#pragma once

#include "resources/usage.h"

namespace km::resources {

std::unique_ptr<Evaluator> makePodEvaluator();
std::unique_ptr<Evaluator> makeServiceEvaluator();
std::unique_ptr<Evaluator> makeVolumeClaimEvaluator();
std::unique_ptr<Evaluator> makeDeviceClaimEvaluator();

codec::Quantity one();
std::string countName(std::string_view group, std::string_view resource);
// Those of `names` that are known, by name.
Names among(const Names& names, const Names& known);
// Whether what the scope's operator and values say holds for an object that has `value` for the scope ("": none).
bool selects(const api::core_v1::ScopedResourceSelectorRequirement& scope, std::string_view value);

}  // namespace km::resources
