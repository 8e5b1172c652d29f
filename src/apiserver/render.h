// Answers as bytes: objects, lists, tables, statuses and watch frames in the negotiated format. Cached encodings of
// objects are passed on, not copied.
#pragma once

#include <string>
#include <vector>

#include "api/object.h"
#include "api/resource.h"
#include "apiserver/media_type.h"
#include "apiserver/operations.h"
#include "base/clock.h"
#include "http/message.h"


namespace km::apiserver {

// How the objects of one answer are shown.
struct View {
  OutputFormat format;
  const Served* served = nullptr;
  enum class Include { kNone, kMetadata, kObject } include = Include::kMetadata;  // of a Table
  WallTime now;
  Status invalid;  // why the answer cannot be shown so; the operation has happened all the same
};

// metav1.Status of an error.
http::Body renderStatus(const Status& s, const OutputFormat& format);
// metav1.Status with status Success, as deletions answer.
http::Body renderSuccess(const api::Object& deleted, const api::Resource& resource, const OutputFormat& format);

// An object of the served version, or of another type (subresources), which no transformation applies to.
Result<http::Body> renderObject(const api::ObjectPtr& o, const View& view);
// `items` are of the served version.
Result<http::Body> renderList(const ListResult& list, const View& view);

// One frame of a watch stream. `first`: a table begins with its columns.
http::Body renderEvent(cache::EventType type, const api::ObjectPtr& o, const View& view, bool first);
// The frames of all events of the batch, objects as they are stored.
std::string renderEvents(const cache::Batch& batch, bool proto);
// A bookmark at the revision; `initialEnd` marks the end of the initial events.
http::Body renderBookmark(int64_t revision, bool initialEnd, const View& view, bool first);
http::Body renderErrorEvent(const Status& s, const View& view);

// The JSON of a metav1.Status.
std::string statusJson(const Status& s);

}  // namespace km::apiserver
