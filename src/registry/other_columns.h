// Kinds whose rules are the generic ones but whose rows are their own.
#pragma once

#include <memory>

#include "registry/strategy.h"

namespace km::registry {

// The rules of a kind whose rows are those of other_columns.cc.
class OtherStrategy : public Strategy {
 public:
  std::vector<std::string> cells(const api::Resource& r, const api::Object& o, WallTime now) const override;
};

// Null if the resource's rows are the usual ones.
std::unique_ptr<Strategy> makeColumnStrategy(const api::Resource& r);

}  // namespace km::registry
