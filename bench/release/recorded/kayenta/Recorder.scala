// Recorder: what Kayenta's own classifier says of each pair of series. See record.sh, which compiles it with Kayenta's
// sources. Reads the cases and writes what came of them back into the file.
package com.netflix.kayenta.judge

import java.io.File

import com.fasterxml.jackson.databind.node.{ArrayNode, ObjectNode}
import com.fasterxml.jackson.databind.{JsonNode, ObjectMapper, SerializationFeature}
import com.netflix.kayenta.judge.classifiers.metric._
import com.netflix.kayenta.judge.preprocessing.Transforms

import scala.collection.JavaConverters._

/** As NetflixACAJudge.scala has it, which itself needs Spring. */
case class Metric(name: String, values: Array[Double], label: String)

object Recorder {

  def main(arguments: Array[String]): Unit = {
    val Array(path, commit) = arguments
    val mapper = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT)
    val document = mapper.readTree(new File(path)).asInstanceOf[ObjectNode]
    document.put("commit", commit)
    document.get("cases").elements.asScala.foreach(one => record(one.asInstanceOf[ObjectNode]))
    mapper.writeValue(new File(path), document)
  }

  /** The steps of NetflixACAJudge.classifyMetric: clean both series, then classify. */
  private def record(one: ObjectNode): Unit = {
    val nan = NaNStrategy.parse(one.get("nanStrategy").asText)
    def cleaned(name: String): Metric = {
      val metric = Metric("metric", series(one.get(name)), name)
      if (nan == NaNStrategy.Remove) Transforms.removeNaNs(metric) else Transforms.replaceNaNs(metric)
    }
    val (experiment, control) = (cleaned("experiment"), cleaned("control"))
    val thresholds = (1.0, one.get("allowedIncrease").asDouble)
    val classifier = new MannWhitneyClassifier(0.25, 0.98, thresholds)
    val said = classifier.classify(control, experiment, MetricDirection.Increase, nan, false, false)
    one.put("classification", said.classification.toString)
    if (one.get("exact").asBoolean) {
      val test = classifier.MannWhitneyUTest(experiment.values, control.values)
      one.put("low", test.lowerConfidence).put("high", test.upperConfidence).put("estimate", test.estimate)
    }
  }

  private def series(values: JsonNode): Array[Double] =
    values.asInstanceOf[ArrayNode].elements.asScala.map(one => if (one.isNull) Double.NaN else one.asDouble).toArray
}
